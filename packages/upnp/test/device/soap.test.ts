import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeReply, encodeCall, faultError } from '../../src/device/soap.js'
import { bytes, envelope, fault } from '../texts.js'

const connection = 'urn:schemas-upnp-org:service:WANIPConnection:1'

describe('encodeCall', () => {
  it('encodeCall writes the escaped arguments in the given order', () => {
    expect(
      encodeCall(connection, 'AddPortMapping', { NewExternalPort: 8080, NewPortMappingDescription: `a<&>"'\u0007` })
    ).toBe(
      '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:AddPortMapping xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"><NewExternalPort>8080</NewExternalPort><NewPortMappingDescription>a&lt;&amp;&gt;&quot;&apos;</NewPortMappingDescription></u:AddPortMapping></s:Body></s:Envelope>\r\n'
    )
  })
})

describe('decodeReply', () => {
  const reply = (inner: string): string =>
    envelope(
      `<u:GetSpecificPortMappingEntryResponse xmlns:u="${connection}">${inner}</u:GetSpecificPortMappingEntryResponse>`
    )

  it('decodeReply returns the values', () => {
    const text = reply(
      '<NewInternalPort>80</NewInternalPort><NewInternalClient> 192.168.1.2\n</NewInternalClient><NewEnabled/>'
    )
    expect(decodeReply(bytes(text), 'GetSpecificPortMappingEntry')).toEqual({
      ok: true,
      values: new Map([
        ['newinternalport', '80'],
        ['newinternalclient', '192.168.1.2'],
        ['newenabled', '']
      ])
    })
  })

  it('decodeReply accepts other prefixes and junk after the answer', () => {
    const text = `<SOAP-ENV:Envelope><SOAP-ENV:Body><m:XResponse><A>1</A></m:XResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>\0\0junk`
    expect(decodeReply(bytes(text), 'X')).toEqual({ ok: true, values: new Map([['a', '1']]) })
  })

  it.each([
    [fault(714, 'NoSuchEntryInArray'), 714, 'NoSuchEntryInArray'],
    [fault(' 725 ', ''), 725, ''],
    [fault('x'), 501, 'Invalid'],
    [envelope('<s:Fault><faultcode>s:Server</faultcode><faultstring>busy</faultstring></s:Fault>'), 501, 'busy']
  ])('decodeReply returns a fault', (text, code, description) => {
    expect(decodeReply(bytes(text), 'X')).toEqual({ ok: false, fault: code, description })
  })

  it.each([
    ['nothing', ''],
    ['the answer to another action', envelope('<u:YResponse/>')],
    ['HTML', '<html>500</html>'],
    ['a document type', `<!DOCTYPE x>${envelope('<u:XResponse/>')}`]
  ])('decodeReply rejects %s', (_name, text) => {
    expect(() => decodeReply(bytes(text), 'X')).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
  })

  it('decodeReply returns a value or throws a NatError for any bytes', () => {
    const whole = reply('<NewInternalPort>80</NewInternalPort>')
    fc.assert(
      fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }), fc.nat(40), (at, noise, skip) => {
        const spoiled = Uint8Array.of(...bytes(whole.slice(0, at)), ...noise, ...bytes(whole.slice(at + skip)))
        try {
          decodeReply(spoiled, 'GetSpecificPortMappingEntry')
        } catch (error) {
          expect(isNatError(error)).toBe(true)
        }
      })
    )
  })
})

describe('faultError', () => {
  it.each([
    [401, 'UNSUPPORTED'],
    [402, 'MALFORMED_REQUEST'],
    [501, 'GATEWAY_FAULT'],
    [606, 'NOT_AUTHORIZED'],
    [701, 'OUT_OF_RESOURCES'],
    [702, 'PINHOLES_DISABLED'],
    [703, 'PINHOLES_DISABLED'],
    [704, 'MAPPING_LOST'],
    [713, 'MAPPING_LOST'],
    [714, 'MAPPING_LOST'],
    [718, 'CONFLICT'],
    [724, 'SAME_PORT_REQUIRED'],
    [725, 'ONLY_PERMANENT_LEASES'],
    [726, 'UNSUPPORTED'],
    [727, 'UNSUPPORTED'],
    [728, 'OUT_OF_RESOURCES'],
    [729, 'CONFLICT'],
    [899, 'GATEWAY_FAULT']
  ])('faultError converts %i to %s', (code, expected) => {
    expect(faultError('AddPortMapping', code, 'what it says')).toMatchObject({
      code: expected,
      message: expect.stringContaining(`(${code}, what it says)`)
    })
  })

  it('faultError removes control characters and cuts long descriptions', () => {
    expect(faultError('X', 501, `\u001b[31m${'x'.repeat(1000)}`).message).toMatch(/^[\x20-\x7e]{1,200}$/)
  })
})
