import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prefixesOf } from '../../src/index.js'

const of4 = (ip: string, subnet: string, network: string) => ({ ip, subnet, network })

describe('prefixesOf', () => {
  it('prefixesOf returns /32, /24 and /16 of an IPv4 address', () => {
    expect(prefixesOf('203.0.113.7')).toEqual(of4('203.0.113.7', '203.0.113.0/24', '203.0.0.0/16'))
  })

  it('prefixesOf returns /64, /48 and /32 of an IPv6 address in any notation', () => {
    const prefixes = { ip: '2001:db8:0:7::/64', subnet: '2001:db8:0::/48', network: '2001:db8::/32' }
    expect(prefixesOf('2001:db8:0:7::9')).toEqual(prefixes)
    expect(prefixesOf('2001:DB8::7:1:2:3:4')).toEqual(prefixes)
    expect(prefixesOf('2001:0db8:0000:0007:0000:0000:0000:0009')).toEqual(prefixes)
    expect(prefixesOf('fe80::1%eth0')?.ip).toBe('fe80:0:0:0::/64')
    expect(prefixesOf('::1')?.ip).toBe('0:0:0:0::/64')
  })

  it.each([
    ['IPv4-mapped', '::ffff:203.0.113.7'],
    ['IPv4-mapped in hexadecimal', '::ffff:cb00:7107'],
    ['NAT64', '64:ff9b::203.0.113.7'],
    ['NAT64 with a prefix of its own', '64:ff9b:1:aaaa::cb00:7107'],
    ['6to4', '2002:cb00:7107:1::1'],
    ['6to4, another /64', '2002:cb00:7107:2::1'],
    ['Teredo', '2001:0:4136:e378:8000:63bf:34ff:8ef8']
  ])('prefixesOf returns the prefixes of the embedded IPv4 address of %s', (_, address) => {
    expect(prefixesOf(address)).toEqual(of4('203.0.113.7', '203.0.113.0/24', '203.0.0.0/16'))
  })

  it.each(['', 'relay.example.org', '1.2.3', '010.0.0.1', '1::2::3'])('prefixesOf returns undefined for %j', (text) => {
    expect(prefixesOf(text)).toBe(undefined)
  })

  it('prefixesOf is equal for addresses of one /64 and differs for another /64', () => {
    const group = fc.integer({ min: 0, max: 0xffff })
    fc.assert(
      fc.property(
        fc.tuple(group, group, group),
        fc.array(group, { minLength: 8, maxLength: 8 }),
        ([a, b, c], hosts) => {
          const at = (net: number, from: number): string =>
            [0x2a00, a, b, net, ...hosts.slice(from, from + 4)].map((each) => each.toString(16)).join(':')
          expect(prefixesOf(at(c, 0))).toEqual(prefixesOf(at(c, 4)))
          expect(prefixesOf(at(c, 0))?.ip).not.toBe(prefixesOf(at(c ^ 1, 0))?.ip)
          expect(prefixesOf(at(c, 0))?.subnet).toBe(prefixesOf(at(c ^ 1, 0))?.subnet)
        }
      )
    )
  })
})
