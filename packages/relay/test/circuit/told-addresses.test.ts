import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { acceptedAddresses } from '../../src/circuit/told-addresses.js'

const id = '12D3KooWHeenJjh6gDiFhPgzURVYLqFHcoAMEAfKktLyhahhMcMM'
const other = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'

const accepted = (
  told: readonly string[],
  reached: readonly string[] = [`/ip4/203.0.113.7/tcp/4001/p2p/${id}`],
  named: readonly string[] = []
): readonly string[] =>
  acceptedAddresses(
    id,
    told.map((text) => multiaddr(text).bytes),
    reached.map((text) => multiaddr(text)),
    named.map((text) => multiaddr(text))
  ).map((each) => each.toString())

describe('acceptedAddresses', () => {
  it.each([
    '/ip4/203.0.113.7/tcp/4001',
    '/ip4/203.0.113.7/tcp/443/ws',
    '/ip4/203.0.113.7/tcp/443/tls/ws',
    '/ip4/203.0.113.7/udp/4001/quic-v1',
    '/ip4/203.0.113.7/udp/4001/quic-v1/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ'
  ])('acceptedAddresses accepts an address at the reached host: %s', (text) => {
    expect(accepted([text])).toEqual([`${text}/p2p/${id}`])
    expect(accepted([`${text}/p2p/${id}`])).toEqual([`${text}/p2p/${id}`])
  })

  it.each([
    '/ip4/203.0.113.8/tcp/4001',
    '/ip4/192.168.1.1/tcp/4001',
    '/ip4/127.0.0.1/tcp/4001',
    '/ip4/169.254.169.254/tcp/80',
    '/ip6/2001:db8::1/tcp/4001',
    '/dns4/relay.example/tcp/4001',
    `/ip4/203.0.113.7/tcp/4001/p2p/${other}`,
    `/ip4/203.0.113.7/tcp/4001/p2p/${id}/p2p-circuit/p2p/${other}`,
    `/ip4/203.0.113.7/tcp/4001/p2p/${other}/p2p/${id}`,
    '/ip4/203.0.113.7/tcp/443/tls/sni/victim.example/ws',
    '/ip4/203.0.113.7/tcp/443/http',
    '/ip4/203.0.113.7/udp/4001',
    '/ip4/203.0.113.7/tcp/0',
    '/ip4/203.0.113.7',
    `/p2p/${id}`,
    '/ip4/8.8.8.8/tcp/1/ip4/203.0.113.7/tcp/4001'
  ])('acceptedAddresses drops an address that leads elsewhere or is invalid: %s', (text) => {
    expect(accepted([text])).toEqual([])
  })

  it('acceptedAddresses accepts an address at a configured host', () => {
    const named = [`/dns4/relay.example/tcp/443/tls/ws/p2p/${id}`, `/ip6/2001:db8::1/tcp/1/p2p/${id}`]
    const told = [
      '/dns4/Relay.Example./tcp/443/tls/ws',
      '/dns4/relay.example/tcp/443/tls/sni/relay.example/ws',
      '/ip6/2001:db8::1/tcp/4001',
      '/dns4/x.example/tcp/1'
    ]
    expect(accepted(told, [], named)).toEqual([
      `/dns4/Relay.Example./tcp/443/tls/ws/p2p/${id}`,
      `/ip6/2001:db8::1/tcp/4001/p2p/${id}`
    ])
  })

  it('acceptedAddresses does not take a name in SNI for a reached IP address', () => {
    expect(accepted(['/ip4/8.8.8.8/tcp/1'], [`/ip4/8.8.8.8/tcp/443/tls/sni/evil.example/ws/p2p/${id}`])).toEqual([])
  })

  it('acceptedAddresses accepts a private address only if the relay was reached there', () => {
    const reached = [`/ip4/192.168.1.9/tcp/4001/p2p/${id}`]
    expect(accepted(['/ip4/192.168.1.9/tcp/4002', '/ip4/192.168.1.1/tcp/80'], reached)).toEqual([
      `/ip4/192.168.1.9/tcp/4002/p2p/${id}`
    ])
  })

  it('acceptedAddresses returns only reached or configured hosts for any bytes', () => {
    const start = Array.from(multiaddr('/ip4/203.0.113.7/tcp/4001').bytes)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 40 }).map((rest) => Uint8Array.from([...start, ...rest]))
    )
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 40 }), (told) => {
        const all = acceptedAddresses(id, told, [multiaddr(`/ip4/203.0.113.7/tcp/4001/p2p/${id}`)], [])
        expect(all.length).toBeLessThanOrEqual(16)
        for (const each of all) {
          expect(each.toString()).toMatch(new RegExp(`^/ip4/203\\.0\\.113\\.7/(tcp|udp)/\\d+[/\\w-]*/p2p/${id}$`))
        }
      })
    )
  })
})
