import type { Connection, IdentifyResult } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Network } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { createObservedAddresses } from '../../src/client/observed-addresses.js'
import type { AutonatHost } from '../../src/host.js'
import type { Settings } from '../../src/options.js'

const home: Network = {
  gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
  addresses: ['192.168.1.2']
}
const away: Network = { ...home, gateways: [{ ...home.gateways[0]!, address: '192.168.1.254' }] }

/** Sets up a table, and peers that are connected and have said at which address they see this node. */
function setUp() {
  const open: Connection[] = []
  const host = { components: { connectionManager: { getConnections: () => open } } } as unknown as AutonatHost
  const settings = { mayAsk: () => true, mayVerify: () => true } as unknown as Settings
  const table = createObservedAddresses(host, settings)
  table.enter(home)
  const say = (id: string, from: string, seen: string): void => {
    const remote = {
      remoteAddr: multiaddr(from),
      remotePeer: { toString: () => id },
      direction: 'outbound',
      status: 'open'
    }
    const connection = { id, ...remote } as unknown as Connection
    open.push(connection)
    table.identified({ connection, observedAddr: multiaddr(seen) } as unknown as IdentifyResult)
  }
  say('four', '/ip4/21.0.0.1/tcp/4001', '/ip4/11.0.0.2/tcp/5555')
  say('six', '/ip6/2a00:9::1/tcp/4001', '/ip6/2a00:1::2/tcp/5555')
  return { table, open, parties: () => table.all().map(({ party }) => party.id) }
}

describe('the addresses at which connected peers see this node', () => {
  it('what was said is kept in the same network', () => {
    const { table, parties } = setUp()
    table.enter({ ...home })
    expect(parties()).toEqual(['four', 'six'])
  })

  it('what was said of IPv4 addresses is forgotten in another IPv4 network, although the connections are open', () => {
    const { table, parties } = setUp()
    table.enter(away)
    expect(parties()).toEqual(['six'])
  })

  it('what was said of IPv6 addresses is forgotten in another IPv6 network', () => {
    const { table, parties } = setUp()
    table.enter({ ...home, addresses: [...home.addresses, '2a00:2::2'] })
    expect(parties()).toEqual(['four'])
  })

  it('what was said over connections that closed between two searches is forgotten', () => {
    const { table, open, parties } = setUp()
    open.shift()
    table.enter(home)
    expect(parties()).toEqual(['six'])
  })
})
