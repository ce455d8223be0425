import type { Connection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.js'
import { dialAnnounced } from '../../src/dial/announced-addresses.js'
import { createBudget } from '../../src/dial/syn-budget.js'
import { hostOf, trio } from '../nodes.js'

describe('an announced address', () => {
  const peerOf = async (): Promise<{ readonly peer: PeerId; readonly stranger: PeerId }> => {
    const { ours, other } = await trio()
    return { peer: ours.libp2p.peerId, stranger: other.libp2p.peerId }
  }

  it('an announced address is dialled unless it names another peer, and another peer is disconnected', async () => {
    const { peer, stranger } = await peerOf()
    const dialled: string[] = []
    let ended = 0
    const addresses = [
      '/ip4/21.0.0.1/tcp/1',
      `/ip4/31.0.0.1/tcp/2/p2p/${stranger.toString()}`,
      '/ip4/51.0.0.1/tcp/443/tls/sni/127.0.0.1/ws',
      '/ip4/51.0.0.1/tcp/80/ws/http-path/x',
      '/ip6/::ffff:127.0.0.1/tcp/22',
      '/dns4/localhost/tcp/22',
      `/ip4/41.0.0.1/tcp/3/p2p/${peer.toString()}`
    ]
    const components = {
      events: new EventTarget(),
      peerStore: { get: async () => ({ addresses: addresses.map((each) => ({ multiaddr: multiaddr(each) })) }) },
      connectionManager: {
        openConnection: async (all: readonly unknown[]) => {
          dialled.push(...all.map(String))
          return { remotePeer: stranger, abort: () => ended++ }
        }
      }
    } as unknown as Context['host']['components']
    const cut = new AbortController()
    const budget = createBudget(virtualClock(), { perAddress: 1, perNetwork: 1, inAll: 2 })
    const dial = (): Promise<Connection> => dialAnnounced(hostOf(components), peer, () => new Set(), budget, cut, cut)
    await expect(dial()).rejects.toThrow('another peer has the announced address')
    expect({ dialled, ended }).toEqual({ dialled: ['/ip4/21.0.0.1/tcp/1', '/ip4/41.0.0.1/tcp/3'], ended: 1 })
    // The budget of dials for remote peers is spent.
    await expect(dial()).rejects.toMatchObject({ code: 'NO_SERVICE' })
    expect(dialled).toHaveLength(2)
  })
})
