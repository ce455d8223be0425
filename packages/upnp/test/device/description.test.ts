import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeDescription } from '../../src/device/description.js'
import { bytes, description, firewall, ipConnection, pppConnection, prefixed, sloppy, unclosed } from '../texts.js'

const location = new URL('http://192.168.0.1:5431/dyndev/uuid:1/desc.xml')
const urls = (text: string): readonly string[] =>
  decodeDescription(bytes(text), location).services.map(({ controlUrl }) => controlUrl.href)

describe('decodeDescription', () => {
  it('decodeDescription returns every service that opens ports, and no other', () => {
    const found = decodeDescription(
      bytes(description(ipConnection('/ctl/IPConn', 2) + pppConnection() + firewall())),
      location
    )
    expect(found.name).toBe('Router')
    expect(found.services.map(({ kind, type, version }) => [kind, type, version])).toEqual([
      ['connection', 'urn:schemas-upnp-org:service:WANIPConnection:2', 2],
      ['connection', 'urn:schemas-upnp-org:service:WANPPPConnection:1', 1],
      ['firewall', 'urn:schemas-upnp-org:service:WANIPv6FirewallControl:1', 1]
    ])
  })

  it.each([
    ['', 1],
    [':1.0', 1],
    [':2', 2]
  ])('decodeDescription reads the version "%s" of a service as %i', (written, version) => {
    const text = description(ipConnection()).replaceAll('WANIPConnection:1', `WANIPConnection${written}`)
    expect(decodeDescription(bytes(text), location).services).toMatchObject([{ version }])
  })

  it('decodeDescription returns a service once that is listed twice', () => {
    expect(urls(description(ipConnection() + ipConnection()))).toEqual(['http://192.168.0.1:5431/ctl/IPConn'])
  })

  it.each([
    ['from the root', ipConnection('/ctl/1'), '', 'http://192.168.0.1:5431/ctl/1'],
    ['from the description', ipConnection('ctl/1'), '', 'http://192.168.0.1:5431/dyndev/uuid:1/ctl/1'],
    ['from a name', ipConnection('http://router.home:5432/c'), '', 'http://192.168.0.1:5432/c'],
    ['from 0.0.0.0', ipConnection('http://0.0.0.0:5432/c'), '', 'http://192.168.0.1:5432/c'],
    ['whole', ipConnection('http://192.168.0.1:5432/c'), '', 'http://192.168.0.1:5432/c'],
    ['from URLBase', ipConnection('c'), '<URLBase>http://192.168.0.1:80/x/</URLBase>', 'http://192.168.0.1/x/c'],
    [
      'not from a URLBase elsewhere',
      ipConnection('/c'),
      '<URLBase>http://10.0.0.1/</URLBase>',
      'http://192.168.0.1:5431/c'
    ],
    ['not from a URLBase that is none', ipConnection('/c'), '<URLBase></URLBase>', 'http://192.168.0.1:5431/c'],
    ['with escaped ampersands', ipConnection('/c?a=1&amp;b=2'), '', 'http://192.168.0.1:5431/c?a=1&b=2']
  ])('decodeDescription resolves control URLs %s', (_name, services, head, url) => {
    expect(urls(description(services, head))).toEqual([url])
  })

  it.each([
    ['blanks, ampersands and junk', sloppy, ['http://192.168.0.1:5431/upnp/control?WAN=1&CONN=2']],
    ['prefixes and a byte order mark', prefixed, ['http://192.168.0.1:5431/0a3f/upnp/control/WANPPPConn1']],
    ['missing closing tags', unclosed, ['http://192.168.0.1:5431/one', 'http://192.168.0.1:5431/two']]
  ])('decodeDescription accepts %s', (_name, text, expected) => {
    expect(urls(text)).toEqual(expected)
  })

  it('decodeDescription rejects control URLs on another host', () => {
    expect(() => urls(description(ipConnection('http://192.168.0.9/c')))).toThrow(
      expect.objectContaining({ code: 'UNTRUSTED_REPLY' })
    )
  })

  it.each([
    ['other services', description('')],
    ['a service without a control URL', description(ipConnection(''))],
    ['a service with a name of its own', description(ipConnection().replace('schemas-upnp-org', 'example-org'))]
  ])('decodeDescription throws NO_SERVICE for %s', (_name, text) => {
    expect(() => urls(text)).toThrow(expect.objectContaining({ code: 'NO_SERVICE' }))
  })

  it.each([
    ['nothing', ''],
    ['HTML', '<html><body>Login</body></html>'],
    ['text', 'no markup here'],
    ['a tag that does not end', '<root'],
    ['a document type', `<!DOCTYPE root>${description(ipConnection())}`],
    ['a document type in other letters', `<!doctype root>${description(ipConnection())}`],
    ['an XML bomb', `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>${description('&b;')}`],
    ['deep nesting', `<root><device>${'<a>'.repeat(5000)}`]
  ])('decodeDescription rejects %s', (_name, text) => {
    expect(() => urls(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
  })

  it.each([
    ['bytes', `<modelName>${'x'.repeat(64 * 1024)}</modelName>`, 'REPLY_TOO_LARGE', /above 65536$/],
    ['empty elements', '<a/>'.repeat(1000), 'MALFORMED_REPLY', /more than 1000 tags$/],
    ['elements between text', 'x<a/>'.repeat(1000), 'MALFORMED_REPLY', /more than 1000 tags$/],
    ['comments', '<!---->'.repeat(1000), 'MALFORMED_REPLY', /more than 1000 tags$/]
  ])('decodeDescription does not parse a description with too many %s', (_name, more, code, message) => {
    const error = expect.objectContaining({ code, message: expect.stringMatching(message) })
    expect(() => urls(description(ipConnection(), more))).toThrow(error)
  })

  it('decodeDescription accepts far more elements than real routers have', () => {
    expect(urls(description(ipConnection() + '<service><a>1</a></service>'.repeat(200)))).toHaveLength(1)
  })

  it.each(['__proto__', 'x:__proto__', 'prototype'])(
    'decodeDescription is not poisoned by an element named %s',
    (name) => {
      const evil = `<${name}><polluted>1</polluted></${name}>`
      expect(() => urls(description(ipConnection(), evil))).toThrow(
        expect.objectContaining({ code: 'MALFORMED_REPLY' })
      )
      expect('polluted' in {}).toBe(false)
    }
  )

  it('decodeDescription returns a value or throws a NatError for a description that is cut off anywhere', () => {
    const whole = bytes(description(ipConnection() + firewall()))
    for (let length = 0; length < whole.length; length += 1) {
      try {
        decodeDescription(whole.subarray(0, length), location)
      } catch (error) {
        expect(isNatError(error)).toBe(true)
      }
    }
  })

  it('decodeDescription returns a value or throws a NatError for any markup', () => {
    const piece = fc.constantFrom(
      '<',
      '>',
      '/',
      '<device>',
      '</device>',
      '<service>',
      '</service>',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?',
      '?>',

      '<serviceType>',
      'urn:schemas-upnp-org:service:WANIPConnection:1',
      '<controlURL>',
      '/c',
      '&',
      '&#x110000;',
      '"',
      '=',
      '\0'
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 40 }), (pieces) => {
        try {
          decodeDescription(bytes(pieces.join('')), location)
        } catch (error) {
          expect(isNatError(error)).toBe(true)
        }
      }),
      { numRuns: 500 }
    )
  })
})
