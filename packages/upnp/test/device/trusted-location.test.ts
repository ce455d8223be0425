import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { trustLocation } from '../../src/device/trusted-location.js'

const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
const gateway6 = { address: 'fe80::1%eth0', interface: 'eth0', localAddress: '2a00:1::2' }

describe('trustLocation', () => {
  it.each([
    ['the router itself', 'http://192.168.1.1:5000/rootDesc.xml', '192.168.1.1', gateway],
    ['the default port', 'http://192.168.1.1/igd.xml', '192.168.1.1', gateway],
    ['the router, from another of its addresses', 'http://192.168.1.1:80/', '192.168.1.254', gateway],
    ['the router as a number', 'http://3232235777/', '192.168.1.1', gateway],
    ['the router in an IPv6 address', 'http://[::ffff:192.168.1.1]:5000/', '192.168.1.1', gateway],
    [
      'loopback from that loopback address',
      'http://127.0.5.1:5000/',
      '127.0.5.1',
      { ...gateway, address: '127.0.5.1' }
    ],
    ['a global address on our /64 from the next hop', 'http://[2a00:1::1]:5000/', 'fe80::1%eth0', gateway6],
    ['a link-local address', 'http://169.254.1.1/', '169.254.1.1', { ...gateway, address: '169.254.1.1' }]
  ])('trustLocation accepts %s', (_name, location, sender, asked) => {
    expect(trustLocation(location, { sender, gateway: asked }).href).toContain('http://')
  })

  it.each([
    ['another host', 'http://192.168.1.9:80/', '192.168.1.1', gateway],
    ['another host that seems to speak for itself', 'http://192.168.1.9:80/', '192.168.1.9', gateway],
    ['cloud metadata that seem to speak for themselves', 'http://169.254.169.254/', '169.254.169.254', gateway],
    ['another host as a number', 'http://3232235785/', '192.168.1.9', gateway],
    ['another host in octal', 'http://0300.0250.01.011/', '192.168.1.9', gateway],
    ['another host in an IPv6 address', 'http://[::ffff:192.168.1.9]/', '192.168.1.9', gateway],
    ['an IPv6 host that seems to speak for itself', 'http://[fd00::9]/', 'fd00::9', gateway],
    ['the port of another service', 'http://192.168.1.1:22/', '192.168.1.1', gateway],
    ['the port of mail', 'http://192.168.1.1:25/', '192.168.1.1', gateway],
    ['a path without end', `http://192.168.1.1/${'x'.repeat(600)}`, '192.168.1.1', gateway],
    ['a service of this machine', 'http://127.0.0.1:631/', '192.168.1.1', gateway],
    ['loopback as a number', 'http://2130706433/', '192.168.1.1', gateway],
    ['another loopback address', 'http://127.0.0.1:80/', '127.0.5.1', { ...gateway, address: '127.0.5.1' }],
    ['a name of another host', 'http://router.local/igd.xml', '192.168.1.9', gateway],
    ['the internet', 'http://11.0.0.9/', '11.0.0.9', gateway],
    ['HTTPS', 'https://192.168.1.1/', '192.168.1.1', gateway],
    ['another scheme', 'file:///etc/passwd', '192.168.1.1', gateway],
    ['credentials', 'http://admin:admin@192.168.1.1/', '192.168.1.1', gateway],
    ['a name that starts like the router', 'http://192.168.1.1.evil.example/', '192.168.1.9', gateway],
    ['an IPv6 address beyond our /64', 'http://[2a00:2::1]:5000/', 'fe80::1%eth0', gateway6],
    ['an IPv6 address on our /64 from another sender', 'http://[2a00:1::1]:5000/', 'fe80::2%eth0', gateway6]
  ])('trustLocation rejects %s', (_name, location, sender, asked) => {
    expect(() => trustLocation(location, { sender, gateway: asked })).toThrow(
      expect.objectContaining({ code: 'UNTRUSTED_REPLY' })
    )
  })

  it.each(['router.local', '192.168.1.1.evil.example', '0.0.0.0', '[::]'])(
    'puts the address of the router in the place of %s, which the router calls itself',
    (name) => {
      expect(trustLocation(`http://${name}:5000/igd.xml`, { sender: '192.168.1.1', gateway }).href).toBe(
        'http://192.168.1.1:5000/igd.xml'
      )
    }
  )

  it.each([undefined, '', '/rootDesc.xml', 'http://', 'http://192.168.1.1:99999/'])(
    'finds no URL in %s',
    (location) => {
      expect(() => trustLocation(location, { sender: '192.168.1.1', gateway })).toThrow(
        expect.objectContaining({ code: 'MALFORMED_REPLY' })
      )
    }
  )

  it('trustLocation returns only locations on the router', () => {
    const sender = '192.168.1.77'
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webUrl(),
          fc.ipV4().map((host) => `http://${host}/`),
          fc.constantFrom('http://192.168.1.77/', 'http://192.168.1.1/', 'http://0xc0a8014d/'),
          fc.string()
        ),
        (location) => {
          try {
            expect(trustLocation(location, { sender, gateway }).hostname).toBe(gateway.address)
          } catch (error) {
            if (!isNatError(error)) throw error
          }
        }
      )
    )
  })
})
