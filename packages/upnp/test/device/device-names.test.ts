import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeDescription } from '../../src/device/description.js'
import { cleanName, type Described } from '../../src/device/device-names.js'
import { bytes, description, ipConnection, pppConnection, prefixed, unclosed } from '../texts.js'

const location = new URL('http://192.168.0.1:5431/desc.xml')

/** Returns the names in a description, also of a device that opens no ports. */
function namesIn(text: string): Described | undefined {
  let told: Described | undefined
  try {
    decodeDescription(bytes(text), location, (names) => (told = names))
  } catch {
    // A device without a service of use has names all the same.
  }
  return told
}

const root = (inner: string, type = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'): string =>
  `<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>${type}</deviceType>${inner}</device></root>`
const fields = (each: Readonly<Record<string, string>>): string =>
  Object.entries(each)
    .map(([name, text]) => `<${name}>${text}</${name}>`)
    .join('')

describe('readNames', () => {
  it.each([
    [
      'a FRITZ!Box, whose model number is no model',
      {
        friendlyName: 'FRITZ!Box 7590',
        manufacturer: 'AVM Berlin',
        modelName: 'FRITZ!Box 7590',
        modelNumber: '7590 - avm'
      },
      { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: 'FRITZ!Box 7590' }
    ],
    [
      'a number that is part of the name',
      { manufacturer: 'NETGEAR, Inc.', modelName: 'NETGEAR R7000 N900 Router', modelNumber: 'R7000' },
      { manufacturer: 'NETGEAR, Inc.', model: 'NETGEAR R7000 N900 Router', name: null }
    ],
    [
      'a number that completes the name',
      { manufacturer: 'MitraStar', modelName: 'MitraStar Internet Gateway', modelNumber: 'DSL-2401HN-T1C-GV' },
      { manufacturer: 'MitraStar', model: 'MitraStar Internet Gateway DSL-2401HN-T1C-GV', name: null }
    ],
    [
      'a number that is a version',
      { manufacturer: 'ASUSTeK Computer Inc.', modelName: 'RT-AC68U', modelNumber: '3.0.0.4' },
      { manufacturer: 'ASUSTeK Computer Inc.', model: 'RT-AC68U', name: null }
    ],
    [
      'texts that name nothing',
      { friendlyName: 'Home', manufacturer: 'N/A', modelName: '0000' },
      { manufacturer: null, model: null, name: 'Home' }
    ]
  ])('the names are read from the description of %s', (_, told, device) => {
    expect(namesIn(root(fields(told)))).toEqual({ device, certainty: 2 })
  })

  it('the names of embedded devices are not those of the router', () => {
    const embedded = `<deviceList><device>${fields({ manufacturer: 'Chip maker', modelName: 'WANDevice' })}</device></deviceList>`
    expect(namesIn(root(`${fields({ friendlyName: 'Attic' })}${embedded}`))?.device).toEqual({
      manufacturer: null,
      model: null,
      name: 'Attic'
    })
    expect(namesIn(description(ipConnection()))?.device.name).toBe('Router')
  })

  it('a device that opens ports counts as a router whatever its type is', () => {
    expect(namesIn(prefixed)).toEqual({ device: { manufacturer: null, model: null, name: 'Box' }, certainty: 2 })
    expect(namesIn(unclosed)?.device.name).toBe('Cheap')
    expect(namesIn(description(pppConnection()))?.certainty).toBe(2)
  })

  it('an access point is less certain to be the router than a gateway', () => {
    const text = root(fields({ manufacturer: 'TP-Link' }), 'urn:schemas-wifialliance-org:device:WFADevice:1')
    expect(namesIn(text)?.certainty).toBe(1)
  })

  it.each([
    'urn:schemas-upnp-org:device:MediaServer:1',
    'urn:schemas-upnp-org:device:Printer:1',
    'urn:schemas-upnp-org:device:Basic:1',
    ''
  ])('a device of the type "%s" is not named as the router', (type) => {
    expect(namesIn(root(fields({ friendlyName: 'Films', manufacturer: 'Justin Maggard' }), type))).toBeUndefined()
  })

  it('a gateway without any name tells nothing', () => {
    expect(namesIn(root(fields({ manufacturer: ' - ', modelName: '' })))).toBeUndefined()
  })
})

describe('cleanName', () => {
  it.each([
    ['line breaks', 'FRITZ!Box\r\n 7590\u2028x', 'FRITZ!Box 7590 x'],
    ['escape sequences', '\u001b[31mBox\u001b[0m\u0007', '[31mBox[0m'],
    ['bidirectional overrides', 'Box\u202e0957\u2066', 'Box0957'],
    ['zero-width characters', 'B\u200bo\ufeffx\u00ad', 'Box'],
    ['markup', '<img src=x onerror=alert(1)>', 'img src=x onerror=alert(1)'],
    ['lone surrogates', 'Box\ud800', 'Box'],
    ['other letters', 'Größe 箱', 'Größe 箱']
  ])('%s do not reach a terminal or a page', (_, text, clean) => {
    expect(cleanName(text)).toBe(clean)
  })

  it('a long name is cut without splitting a character', () => {
    expect(cleanName('x'.repeat(1000))).toBe(`${'x'.repeat(63)}…`)
    expect(cleanName(`${'x'.repeat(62)}😀😀`)).toBe(`${'x'.repeat(62)}…`)
  })

  it('any text becomes one printable line of at most 64 units', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const clean = cleanName(text)
        expect(clean.length).toBeLessThanOrEqual(64)
        expect(clean).not.toMatch(/[<>\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
      })
    )
  })
})
