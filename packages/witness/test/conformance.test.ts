import { conformance, type World } from '@postern/conformance'
import type { Strategy } from '@postern/interface'
import { describe, it } from 'vitest'
import { witness } from '../src/index.js'
import { type Scene, scene, serverUrl, tcpAddress } from './world.js'

interface WitnessWorld extends World {
  readonly scene: Scene
}

function world(): WitnessWorld {
  const each = scene()
  return {
    scene: each,
    clock: each.clock,
    network: { gateways: [], addresses: ['192.168.1.2'] },
    address: tcpAddress,
    requests: () => each.exchanges.length + each.looks.length,
    changes: () => each.exchanges.length,
    openHandles: () => each.listeners(),
    faults: {
      silence() {
        each.behave = async () => each.clock.sleep(1e9, new AbortController()).then(() => ({ body: {} }))
      },
      refuse() {
        each.behave = () => ({ status: 429, body: { error: 'busy', message: 'a limit is reached' } })
      }
    }
  }
}

const subject = {
  world,
  create: ({
    scene: {
      exchangeHttp,
      host: { arrivals }
    }
  }: WitnessWorld): Strategy => {
    const lookup = async (): Promise<readonly string[]> => ['7.7.7.7', '2a00::7']
    const strategy = witness({ servers: [serverUrl, 'https://witness.example.org'], exchangeHttp, lookup })
    return (host) => strategy({ ...host, arrivals })
  }
}

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})
