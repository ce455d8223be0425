import { describe, expect, it } from 'vitest'
import { nat64Prefix } from '../../../../src/commands/doctor/neighbourhood/nat64-prefix.js'

describe('the prefix of a NAT64', () => {
  // The table of RFC 6052 §2.4 with 192.0.0.170 and 192.0.0.171 instead of 192.0.2.33.
  it.each([
    ['2001:db8::/32', ['2001:db8:c000:aa::', '2001:db8:c000:ab::']],
    ['2001:db8:100::/40', ['2001:db8:1c0:0:aa::', '2001:db8:1c0:0:ab::']],
    ['2001:db8:122::/48', ['2001:db8:122:c000:0:aa00::', '2001:db8:122:c000:0:ab00::']],
    ['2001:db8:122:300::/56', ['2001:db8:122:3c0:0:aa::', '2001:db8:122:3c0:0:ab::']],
    ['2001:db8:122:344::/64', ['2001:db8:122:344:c0:0:aa00::', '2001:db8:122:344:c0:0:ab00::']],
    ['2001:db8:122:344::/96', ['2001:db8:122:344::192.0.0.170', '2001:db8:122:344::192.0.0.171']]
  ])('no prefix of the documentation range is believed: %s', (_, addresses) => {
    expect(nat64Prefix(addresses)).toBeUndefined()
  })

  it.each([
    ['2a00:db8::/32', ['2a00:db8:c000:aa::', '2a00:db8:c000:ab::']],
    ['2a00:db8:100::/40', ['2a00:db8:1c0:0:aa::', '2a00:db8:1c0:0:ab::']],
    ['2a00:db8:122::/48', ['2a00:db8:122:c000:0:aa00::', '2a00:db8:122:c000:0:ab00::']],
    ['2a00:db8:122:300::/56', ['2a00:db8:122:3c0:0:aa::', '2a00:db8:122:3c0:0:ab::']],
    ['2a00:db8:122:344::/64', ['2a00:db8:122:344:c0:0:aa00::', '2a00:db8:122:344:c0:0:ab00::']],
    ['2a00:db8:122:344::/96', ['2a00:db8:122:344::192.0.0.170', '2a00:db8:122:344::192.0.0.171']],
    ['64:ff9b::/96', ['64:ff9b::c000:ab', '64:ff9b::c000:aa']],
    ['64:ff9b:1::/48', ['64:ff9b:1:c000:0:aa00::', '64:ff9b:1:c000:0:ab00::']],
    ['fd00:64::/96', ['fd00:64::c000:aa', 'fd00:64::c000:ab']]
  ])('%s is found', (prefix, addresses) => expect(nat64Prefix(addresses)).toBe(prefix))

  it('the first of several prefixes is returned', () => {
    const pairs = ['fd00:64::c000:aa', 'fd00:64::c000:ab', '64:ff9b::c000:aa', '64:ff9b::c000:ab']
    expect(nat64Prefix(pairs)).toBe('fd00:64::/96')
    expect(nat64Prefix(['2a00::1', ...pairs.slice(2)])).toBe('64:ff9b::/96')
  })

  it.each([
    ['no address', []],
    ['one of the two addresses', ['64:ff9b::c000:aa']],
    ['two addresses with distinct prefixes', ['64:ff9b::c000:aa', '2a00:1::c000:ab']],
    ['one address for every name', ['2a00:1::5']],
    ['another IPv4 address', ['64:ff9b::b00:1', '64:ff9b::b00:2']],
    ['the addresses themselves', ['::ffff:192.0.0.170', '::ffff:192.0.0.171']],
    ['IPv4 addresses', ['192.0.0.170', '192.0.0.171']],
    ['IPv4-compatible addresses', ['::192.0.0.170', '::192.0.0.171']],
    ['addresses of the link', ['fe80::c000:aa', 'fe80::c000:ab']],
    ['multicast addresses', ['ff02::c000:aa', 'ff02::c000:ab']],
    ['octet 8 in use', ['2a00:1:2:c000:100:aa00::', '2a00:1:2:c000:100:ab00::']],
    ['a zone', ['64:ff9b::c000:aa%eth0', '64:ff9b::c000:ab%eth0']],
    ['no addresses at all', ['hello', '', '64:ff9b::c000:zz']]
  ])('%s: none', (_, addresses) => expect(nat64Prefix(addresses)).toBeUndefined())

  it('only the first 16 addresses are looked at', () => {
    const others = Array.from({ length: 16 }, (_, index) => `2a00::${index + 1}`)
    expect(nat64Prefix([...others, '64:ff9b::c000:aa', '64:ff9b::c000:ab'])).toBeUndefined()
    expect(nat64Prefix([...others.slice(2), '64:ff9b::c000:aa', '64:ff9b::c000:ab'])).toBe('64:ff9b::/96')
  })
})
