import type { World } from '@postern/conformance'
import type { CallOptions } from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import type { PortService } from '../src/index.js'

export const externalAddress = '1.2.3.4'

/** What the conformance suite looks at and breaks, and the service in it. */
export interface ServiceWorld extends World {
  readonly clock: VirtualClock
  readonly openPorts: ReadonlySet<number>
  readonly service: PortService
}

/** A port service in memory that takes 5 ms for each answer, on a virtual clock: no test waits for real time. */
export function createWorld(): ServiceWorld {
  const clock = virtualClock()
  const open = new Set<number>()
  let mood: 'well' | 'silent' | 'broken' = 'well'
  let delayMs = 5
  let requests = 0

  async function answer(call: CallOptions): Promise<void> {
    requests += 1
    await clock.sleep(mood === 'silent' ? Number.MAX_SAFE_INTEGER : delayMs, call)
    if (mood === 'broken') throw new TypeError('fetch failed')
  }

  return {
    clock,
    openPorts: open,
    network: { gateways: [], addresses: ['192.168.1.10'] },
    service: {
      async open(port, call) {
        await answer(call)
        if (port < 1024) return false
        open.add(port)
        return true
      },
      async close(port, call) {
        await answer(call)
        open.delete(port)
      }
    },
    requests: () => requests,
    changes: () => requests, // every request of this service changes something
    mappings: () =>
      [...open].map((port) => ({
        protocol: 'tcp',
        externalAddress,
        externalPort: port,
        internalAddress: '192.168.1.10',
        internalPort: port,
        expiresAt: Number.POSITIVE_INFINITY
      })),
    faults: {
      silence: () => void (mood = 'silent'),
      refuse: () => void (mood = 'broken'),
      slow: (ms) => void (delayMs = ms)
    }
  }
}
