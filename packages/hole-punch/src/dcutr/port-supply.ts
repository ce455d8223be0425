import type { Connection } from '@libp2p/interface'
import { anySignal, type CallOptions } from '@postern/interface'
import type { Context } from '../context.js'
import { findObservers } from '../nat/port-observers.js'
import { keptPorts, type PunchPorts, preparePorts } from '../nat/punch-ports.js'
import { familyOfRelay } from '../nat/relay-family.js'

/**
 * Supplies the rounds of one punch with fresh ports. The ports of the next round are observed during the current round.
 */
export interface Supply {
  /** Resolves with the ports of the next round. Rejects with `EXTERNAL_ADDRESS_UNKNOWN` or the signal's reason. */
  take(): Promise<PunchPorts>
  /** Releases all ports. */
  end(): void
}

/** Delay before the ports of the next round are observed (ms). Most successful rounds end sooner. */
const laterMs = 500

/**
 * Creates a supply and starts immediately, since the other side counts every delay between two messages as path delay.
 */
export function createSupply(
  { host, settings, knowledge, seen }: Context,
  relayed: Connection,
  call: CallOptions
): Supply {
  const over = new AbortController()
  const bounded = { signal: anySignal([call.signal, over.signal]) }
  // The two sides of a relay may use different families. The one at which this node dialled the relay certainly works.
  const family = familyOfRelay(relayed)
  const all: Promise<PunchPorts>[] = []
  // If the NAT does not keep the numbers this time, the next round has observed ports.
  let next = knowledge.keptPortsAt(family ?? 4) === undefined ? show() : Promise.resolve(kept())

  /** Returns kept ports of every family for which they are known, since the family of the other side is unknown. */
  function kept(): PunchPorts {
    const ports = ([4, 6] as const).flatMap((each) => {
      const address = knowledge.keptPortsAt(each)
      return address === undefined ? [] : keptPorts(address, each, settings.ports)
    })
    return { ports, release: () => undefined }
  }

  function show(): Promise<PunchPorts> {
    const shown = prepare(all.length)
    // `take` may handle the rejection later, or never.
    shown.catch(() => undefined)
    // The ports of the previous round are no longer used.
    releasePorts(all.at(-2))
    all.push(shown)
    return shown
  }

  /** Rotates the observers, since connections that are kept open add up at each observer. */
  async function prepare(before: number): Promise<PunchPorts> {
    const found = await findObservers(host.components, relayed, family)
    const turn = before % Math.max(1, found.length)
    const observers = [...found.slice(turn), ...found.slice(0, turn)]
    const ready = await preparePorts(host, settings.connect, observers, settings.ports, bounded)
    for (const port of ready.ports) seen(port)
    return ready
  }

  return {
    take() {
      const taken = next
      // Delay the observation, so that the current round gets the processor first.
      next = host.clock.sleep(laterMs, bounded).then(show)
      next.catch(() => undefined)
      return taken
    },
    end() {
      over.abort(new Error('no more ports are needed'))
      for (const each of all) releasePorts(each)
    }
  }
}

function releasePorts(shown: Promise<PunchPorts> | undefined): void {
  shown?.then(
    (ports) => ports.release(),
    () => undefined
  )
}
