import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatMultiaddr, parseMultiaddr } from '../src/index.js'

describe('parseMultiaddr and formatMultiaddr', () => {
  it('parseMultiaddr returns the address, the port and the rest', () => {
    expect(parseMultiaddr('/ip4/11.0.0.1/tcp/8080')).toEqual({
      family: 4,
      address: '11.0.0.1',
      protocol: 'tcp',
      port: 8080,
      rest: ''
    })
    expect(parseMultiaddr('/ip6/2a00::1/udp/4001/quic-v1')).toEqual({
      family: 6,
      address: '2a00::1',
      protocol: 'udp',
      port: 4001,
      rest: '/quic-v1'
    })
  })

  it.each([
    '',
    '/',
    '/ip4/11.0.0.1',
    '/ip4/11.0.0.1/tcp',
    '/ip4/11.0.0.1/tcp/',
    '/ip4/11.0.0.1/tcp/65536',
    '/ip4/::1/tcp/1',
    '/ip6/1.2.3.4/tcp/1',
    '/ip4/1.2.3/tcp/1',
    '/dns/example/tcp/1',
    'ip4/1.2.3.4/tcp/1',
    '/ip4/1.2.3.4/tcp/80x'
  ])('parseMultiaddr returns undefined for %j', (text) => {
    expect(parseMultiaddr(text)).toBeUndefined()
  })

  it('parseMultiaddr reads what formatMultiaddr wrote', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6()),
        fc.constantFrom('tcp' as const, 'udp' as const),
        fc.nat(65_535),
        (address, protocol, port) => {
          expect(parseMultiaddr(formatMultiaddr(address, protocol, port))).toMatchObject({ address, protocol, port })
        }
      )
    )
  })

  it('parseMultiaddr never throws for any text', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseMultiaddr(`/ip4/${text}`)))
  })

  it('formatMultiaddr omits an IPv6 zone, which has no meaning on another host', () => {
    expect(formatMultiaddr('fe80::1%eth0', 'tcp', 1)).toBe('/ip6/fe80::1/tcp/1')
  })
})
