import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSsdp, encodeSearch, igd2, isAboutGateway } from '../../src/ssdp/message.js'

const bytes = (lines: readonly string[], end = '\r\n'): Uint8Array =>
  new TextEncoder().encode([...lines, '', ''].join(end))
const text = (data: Uint8Array): string => new TextDecoder().decode(data)

describe('encodeSearch', () => {
  it('encodeSearch writes a unicast search without MX (UDA 1.1 §1.3.2)', () => {
    expect(text(encodeSearch(igd2, '192.168.1.1:1900'))).toBe(
      'M-SEARCH * HTTP/1.1\r\nHOST: 192.168.1.1:1900\r\nMAN: "ssdp:discover"\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:2\r\n\r\n'
    )
  })

  it('encodeSearch writes a multicast search with MX', () => {
    expect(text(encodeSearch('ssdp:all', '239.255.255.250:1900', 1))).toContain('\r\nMX: 1\r\nST: ssdp:all\r\n\r\n')
  })
})

describe('decodeSsdp', () => {
  it('decodeSsdp reads the answer of a router like miniupnpd', () => {
    const message = decodeSsdp(
      bytes([
        'HTTP/1.1 200 OK',
        'CACHE-CONTROL: max-age=120',
        'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:2',
        'USN: uuid:6C616200-0000-4000-8000-726f75746572::urn:schemas-upnp-org:device:InternetGatewayDevice:2',
        'EXT:',
        'SERVER: Debian UPnP/1.1 MiniUPnPd/2.3.1',
        'LOCATION: http://192.168.1.1:5000/rootDesc.xml',
        'BOOTID.UPNP.ORG: 1795365817',
        'CONFIGID.UPNP.ORG: 1337'
      ])
    )
    expect(message).toEqual({
      kind: 'answer',
      target: igd2,
      uuid: 'uuid:6c616200-0000-4000-8000-726f75746572',
      location: 'http://192.168.1.1:5000/rootDesc.xml',
      bootId: 1_795_365_817
    })
    expect(message !== undefined && isAboutGateway(message)).toBe(true)
  })

  it('decodeSsdp reads an answer in lower case, without spaces, with bare line feeds and without a BOOTID', () => {
    expect(
      decodeSsdp(bytes(['http/1.0 200 ok', 'st:upnp:rootdevice', 'location:http://10.0.0.138:80/igd.xml'], '\n'))
    ).toEqual({
      kind: 'answer',
      target: 'upnp:rootdevice',
      uuid: undefined,
      location: 'http://10.0.0.138:80/igd.xml',
      bootId: undefined
    })
  })

  it.each([
    ['ssdp:alive', 'alive'],
    ['ssdp:byebye', 'byebye']
  ])('decodeSsdp reads %s', (subtype, kind) => {
    const lines = ['NOTIFY * HTTP/1.1', `NT: ${igd2}`, `NTS: ${subtype}`, 'USN: uuid:1::x']
    expect(decodeSsdp(bytes(lines))).toMatchObject({ kind, target: igd2, uuid: 'uuid:1' })
  })

  it('decodeSsdp returns the first of two locations', () => {
    const lines = ['HTTP/1.1 200 OK', 'ST: x', 'LOCATION: http://192.168.1.1/', 'LOCATION: http://192.168.1.9/']
    expect(decodeSsdp(bytes(lines))?.location).toBe('http://192.168.1.1/')
  })

  it.each([
    ['without a target', ['HTTP/1.1 200 OK']],
    ['behind an empty line', ['', 'HTTP/1.1 200 OK']],
    ['without a blank behind its status', ['HTTP/1.0 200OK']]
  ])('decodeSsdp reads an answer %s', (_what, lines) => {
    const location = 'http://192.168.1.1/'
    expect(decodeSsdp(bytes([...lines, `LOCATION: ${location}`]))).toMatchObject({
      kind: 'answer',
      target: '',
      location
    })
  })

  it('decodeSsdp returns undefined for searches of other hosts and other announcements', () => {
    expect(decodeSsdp(encodeSearch(igd2, '239.255.255.250:1900', 1))).toBeUndefined()
    expect(decodeSsdp(bytes(['NOTIFY * HTTP/1.1', 'NT: x', 'NTS: ssdp:update']))).toBeUndefined()
    expect(decodeSsdp(bytes(['NOTIFY * HTTP/1.1', 'NTS: ssdp:alive']))).toBeUndefined()
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['one byte', Uint8Array.of(0)],
    ['another status', bytes(['HTTP/1.1 404 Not Found', 'ST: x'])],
    ['more than any device says', new Uint8Array(4097)]
  ])('decodeSsdp rejects %s', (_name, data) => {
    expect(() => decodeSsdp(data)).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
  })

  it('decodeSsdp returns a value or throws a NatError for any bytes', () => {
    const start = fc.constantFrom('', 'HTTP/1.1 200 OK\r\n', 'NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n')
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
        try {
          decodeSsdp(Uint8Array.of(...new TextEncoder().encode(head), ...tail))
        } catch (error) {
          expect(isNatError(error)).toBe(true)
        }
      })
    )
  })
})
