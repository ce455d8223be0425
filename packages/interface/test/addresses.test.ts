import { BlockList } from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  canonicalAddress,
  classOf,
  containerBridgeOf,
  familyOf,
  isGlobal,
  isInSubnet,
  isNeverExternal,
  isVpnInterface,
  networkPrefixOf
} from '../src/index.js'

describe('classOf', () => {
  it.each([
    ['8.8.8.8', 'global'],
    ['11.0.0.1', 'global'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'global'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'carrier-grade'],
    ['100.127.255.255', 'carrier-grade'],
    ['100.128.0.0', 'global'],
    ['127.0.0.1', 'loopback'],
    ['169.254.1.1', 'link-local'],
    ['0.0.0.0', 'unspecified'],
    ['192.0.2.1', 'documentation'],
    ['198.51.100.7', 'documentation'],
    ['203.0.113.7', 'documentation'],
    ['198.18.0.1', 'benchmarking'],
    ['198.20.0.1', 'global'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['240.0.0.1', 'reserved'],
    ['192.0.0.4', 'reserved'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['fe80::1%eth0', 'link-local'],
    ['fd00::1', 'private'],
    ['ff02::1', 'multicast'],
    ['2001:db8::1', 'documentation'],
    ['3fff::1', 'documentation'],
    ['2a00:1450::1', 'global'],
    ['64:ff9b::808:808', 'translated'],
    ['2002:808:808::1', 'translated'],
    ['::ffff:10.0.0.1', 'private'],
    ['192.88.99.1', 'reserved'],
    ['2001:0:1::1', 'translated'],
    ['2001:2::1', 'benchmarking'],
    ['2001:10::1', 'reserved'],
    ['2001:200::1', 'global'],
    ['4000::1', 'reserved'],
    ['::ffff:0:8.8.8.8', 'translated'],
    ['::ffff:a00:1', 'private'],
    ['::ffff:8.8.8.8', 'global']
  ])('classOf(%s) is %s', (address, expected) => {
    expect(classOf(address)).toBe(expected)
    expect(isGlobal(address)).toBe(expected === 'global')
  })

  it.each([
    '',
    '010.0.0.1',
    '0x7f.1',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '2130706433',
    ':',
    ':::',
    'fe80::1::2',
    'localhost',
    '1.2.3.4 ',
    '::ffff:010.0.0.1'
  ])('classOf and its neighbours return undefined for %j', (text) => {
    expect(familyOf(text)).toBeUndefined()
    expect(classOf(text)).toBeUndefined()
    expect(canonicalAddress(text)).toBeUndefined()
    expect(networkPrefixOf(text)).toBeUndefined()
  })
})

describe('isInSubnet', () => {
  const addresses = [
    '10.1.2.3',
    '10.1.3.3',
    '192.168.1.255',
    '0.0.0.0',
    'fe80::1',
    'fe80::1:0:0:1',
    '2001:db8::7f',
    '::'
  ]
  const bases = ['10.1.2.0', '192.168.1.128', '255.255.255.255', 'fe80::', '2001:db8::40', '::']
  it.each(bases)('%s: agrees with Node.js for prefixes of every length', (base) => {
    const isLong = base.includes(':')
    for (let bits = 0; bits <= (isLong ? 128 : 32); bits++) {
      const list = new BlockList()
      list.addSubnet(base, bits, isLong ? 'ipv6' : 'ipv4')
      for (const address of addresses)
        expect([address, bits, isInSubnet(address, `${base}/${bits}`)]).toEqual([
          address,
          bits,
          address.includes(':') === isLong && list.check(address, isLong ? 'ipv6' : 'ipv4')
        ])
    }
  })

  it('ignores the zone, and is false for what is no address and no subnet', () => {
    expect(isInSubnet('fe80::1%eth0', 'fe80::/64')).toBe(true)
    for (const [address, subnet] of [
      ['', '10.0.0.0/8'],
      ['10.1.2.3', ''],
      ['', ''],
      ['10.1.2.3', '10.0.0.0'],
      ['10.1.2.3', '10.0.0.0/x'],
      ['1.2.3.4', '9.9.9.9/'],
      ['1.2.3.4', '9.9.9.9/ '],
      ['1.2.3.4', '9.9.9.9/-1'],
      ['1.2.3.4', '1.2.3.4/33'],
      ['1.2.3.4', '1.2.3.4/24/99'],
      ['1.2.3.4', '1.2.3.4/0x18'],
      ['::1', '::1/129'],
      ['host', 'host/8']
    ] as const)
      expect(isInSubnet(address, subnet)).toBe(false)
  })
})

describe('canonicalAddress', () => {
  it('canonicalAddress returns one form for all spellings of an address', () => {
    expect(canonicalAddress('2A00:0:0::1')).toBe('2a00::1')
    expect(canonicalAddress('fe80::1%eth0')).toBe('fe80::1')
    expect(canonicalAddress('::ffff:1.2.3.4')).toBe('1.2.3.4')
  })
})

describe('networkPrefixOf', () => {
  it('networkPrefixOf returns the /16 of an IPv4 and the /32 of an IPv6 address', () => {
    expect(networkPrefixOf('11.22.33.44')).toBe('11.22.0.0/16')
    expect(networkPrefixOf('2a00:1450:4001::5')).toBe('2a00:1450::/32')
    expect(networkPrefixOf('2a00::5%eth0')).toBe('2a00::/32')
    expect(networkPrefixOf('::5')).toBe('::/32')
    expect(networkPrefixOf('::ffff:11.22.33.44')).toBe('11.22.0.0/16')
  })
})

describe('hints about a link', () => {
  it('containerBridgeOf recognises bridges by name and by default range', () => {
    expect(containerBridgeOf({ address: '172.17.0.1', interface: 'eth0' })).toBe('Docker')
    expect(containerBridgeOf({ address: '10.9.9.1', interface: 'br-0123456789ab' })).toBe('Docker')
    expect(containerBridgeOf({ address: '10.88.0.1', interface: 'eth0' })).toBe('Podman')
    expect(containerBridgeOf({ address: '192.168.1.1', interface: 'eth0' })).toBeUndefined()
    expect(containerBridgeOf({ address: 'fe80::1', interface: 'wlan0' })).toBeUndefined()
  })

  it('isVpnInterface recognises VPN interfaces by name', () => {
    expect(['tun0', 'wg0', 'utun3', 'tailscale0', 'ppp0'].every(isVpnInterface)).toBe(true)
    expect(['eth0', 'wlan0', 'enp3s0', 'en0'].some(isVpnInterface)).toBe(false)
  })
})

describe('isNeverExternal', () => {
  it.each([
    '0.0.0.0',
    '::',
    '127.0.0.1',
    '::1',
    '169.254.1.1',
    'fe80::1',
    '224.0.0.1',
    '255.255.255.255',
    'ff02::1',
    'x'
  ])('isNeverExternal is true for %s', (address) => expect(isNeverExternal(address)).toBe(true))

  it.each(['11.0.0.2', '10.0.0.1', '100.64.0.1', '2a00::1'])('isNeverExternal is false for %s', (address) =>
    expect(isNeverExternal(address)).toBe(false)
  )
})
