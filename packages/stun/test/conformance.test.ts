import { conformance, type World } from '@postern/conformance'
import { virtualClock } from '@postern/testkit'
import { describe, it } from 'vitest'
import { stun } from '../src/index.js'
import { type FakeNat, fakeNat } from './fake-nat.js'
import { fakeServer } from './fake-server.js'
import { alpha, alphaOther, bravo, plainNat } from './scene.js'

interface NatWorld extends World {
  readonly nat: FakeNat
}

function world(): NatWorld {
  const clock = virtualClock()
  const nat = fakeNat(clock, plainNat)
  const servers = [fakeServer(nat, alpha, { other: alphaOther }), fakeServer(nat, bravo)]
  return {
    nat,
    clock,
    network: { gateways: [], addresses: ['192.168.1.2'] },
    requests: () => nat.sent.length,
    changes: () => nat.sent.length,
    violations: () => servers.flatMap(({ violations }) => violations),
    openHandles: () => nat.openSockets - 1,
    tap: nat.lend(6000).tap,
    faults: {
      silence() {
        nat.silent = true
      },
      refuse() {
        for (const server of servers) server.plan = { error: 400 }
      }
    }
  }
}

const subject = {
  world,
  create: ({ nat: { openUdp } }: NatWorld) =>
    stun({ servers: ['alpha.example.org', 'stun:31.0.0.1'], openUdp, lookup: async () => [alpha.address] })
}

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})
