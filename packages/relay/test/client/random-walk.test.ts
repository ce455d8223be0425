import type { PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createCallers } from '../../src/client/random-walk.js'
import type { RelayHost } from '../../src/index.js'

/** Peers with the address from which each is connected, and the peers that were dialled. */
function scene(through = ''): {
  readonly called: (name: string, address: string) => Promise<void>
  readonly dialled: Set<string>
  readonly advance: (ms: number) => Promise<void>
} {
  const clock = virtualClock()
  const from = new Map<string, string>()
  const dialled = new Set<string>()
  const components = {
    connectionManager: {
      getConnections: (peer: PeerId) => [
        { status: 'open', remoteAddr: multiaddr(`/ip4/${from.get(peer.toString())}/tcp/5000${through}`) }
      ],
      openConnection: async ([address]: readonly unknown[]) => {
        dialled.add(String(address))
        throw new Error('it does not answer')
      }
    },
    peerStore: {
      get: async (peer: PeerId) => ({
        addresses: [{ multiaddr: multiaddr(`/ip4/${from.get(peer.toString())}/tcp/${4000 + dialled.size}`) }]
      })
    }
  }
  const log = { debug: () => undefined }
  const host = { clock, log, components } as unknown as RelayHost
  const callers = createCallers(host, () => false, new AbortController())
  return {
    dialled,
    advance: (ms) => clock.advance(ms),
    async called(name, address) {
      from.set(name, address)
      callers.called({ toString: () => name, equals: () => false } as unknown as PeerId)
      await callers.settled()
    }
  }
}

const id = (index: number): string => `12D3KooW${index}`

describe('createCallers', () => {
  it('a relay is dialled back however many peer ids one other address has used before', async () => {
    const { called, dialled } = scene()
    for (let index = 0; index < 100; index++) await called(id(index), '13.0.0.1')
    expect(dialled.size).toBe(2)
    await called('honest', '15.0.0.1')
    expect([...dialled].at(-1)).toContain('/ip4/15.0.0.1/')
    expect(dialled.size).toBe(3)
  })

  it('at most sixteen relays are dialled back in ten minutes, and others later', async () => {
    const { called, dialled, advance } = scene()
    for (let index = 0; index < 100; index++) await called(id(index), `${20 + index}.0.0.1`)
    expect(dialled.size).toBe(16)
    await called('honest', '15.0.0.1')
    expect(dialled.size).toBe(16)
    await advance(600_000)
    await called('honest', '15.0.0.1')
    expect(dialled.size).toBe(17)
  })

  it('a relay is dialled back once in ten minutes', async () => {
    const { called, dialled } = scene()
    for (let again = 0; again < 3; again++) await called('honest', '15.0.0.1')
    expect(dialled.size).toBe(1)
  })

  it('a relay that is connected through another relay is not dialled at the address of that relay', async () => {
    const { called, dialled } = scene('/p2p-circuit')
    await called('hidden', '15.0.0.1')
    expect(dialled.size).toBe(0)
  })
})
