import type { MultiaddrText } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { relay } from '../src/index.js'
import { readOptions } from '../src/options.js'
import { hostOf, startNode } from './support/nodes.js'

const id = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'

describe('invalid options of relay()', () => {
  it.each<[string, MultiaddrText]>([
    ['invalid text', '/nonsense'],
    ['an address without a peer id', '/ip4/127.0.0.1/tcp/4001'],
    ['a peer id without an address', `/p2p/${id}`],
    ['an invalid peer id', '/ip4/127.0.0.1/tcp/4001/p2p/nonsense'],
    ['a relay behind a relay', `/ip4/127.0.0.1/tcp/4001/p2p/${id}/p2p-circuit/p2p/${id}`],
    ['an address behind a relay', `/ip4/127.0.0.1/tcp/4001/p2p/${id}/p2p-circuit`]
  ])('relay() throws a TypeError for %s', (_, address) => expect(() => relay({ relays: [address] })).toThrow(TypeError))

  it('relay() throws a TypeError for an overlong address without parsing it', () => {
    const address: MultiaddrText = `/ip4/127.0.0.1/tcp/4001${'/ws'.repeat(100_000)}/p2p/${id}`
    expect(() => relay({ relays: [address] })).toThrow(/more than 1024 characters/)
  })

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'relay() throws a TypeError for a count of %d',
    (count) => {
      expect(() => relay({ count })).toThrow(new TypeError(`count is not 1 or more: ${count}`))
    }
  )

  it('relay() throws a TypeError for values of the wrong type', () => {
    expect(() => relay({ relays: `/ip4/127.0.0.1/tcp/4001/p2p/${id}` as never })).toThrow(TypeError)
    expect(() => relay({ relays: [4001 as never] })).toThrow(TypeError)
    expect(() => relay({ discover: 'no' as never })).toThrow(TypeError)
  })

  it('relay() throws a TypeError for a node without circuitRelayTransport()', async () => {
    const { components } = await startNode({ isCircuit: false })
    expect(() => relay()(hostOf(components))).toThrow(
      new TypeError('relay() needs circuitRelayTransport() of @libp2p/circuit-relay-v2 among the transports')
    )
  })
})

describe('valid options of relay()', () => {
  it('relay() accepts DNS names, and several addresses of one relay', () => {
    const { named } = readOptions({
      relays: [
        `/dns4/relay.example/tcp/443/tls/ws/p2p/${id}`,
        `/ip6/2001:db8::1/udp/4001/quic-v1/p2p/${id}`,
        `/dnsaddr/relay.example/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN`
      ]
    })
    expect(named.map((each) => [each.id, each.addresses.length])).toEqual([
      [id, 2],
      ['QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN', 1]
    ])
  })

  it('relay() accepts both text forms of a peer id as the same peer', () => {
    const { named } = readOptions({
      relays: ['/ip4/127.0.0.1/tcp/1/p2p/bafybeigweq4zr4x3ky2dvv7nanbkw6egutvrrvzw6g3h2rftp7gidyhtt4']
    })
    expect(named[0]?.id).toMatch(/^Qm/)
  })

  it('relay() passes the count to core; the default is 2', async () => {
    const { components } = await startNode()
    expect(relay()(hostOf(components))).toMatchObject({ name: 'relay', kind: 'relay', count: 2 })
    expect(relay({ count: 5 })(hostOf(components)).count).toBe(5)
  })
})
