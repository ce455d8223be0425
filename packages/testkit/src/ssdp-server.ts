import { countOperation } from './counters.js'
import type { Engine } from './engine.js'
import type { Cast, Sender } from './transport.js'
import { type SearchTarget, searchTargets } from './upnp-device.js'

/** The address and port of the description on this link. */
export interface DescriptionPlace {
  readonly address: string
  readonly port: number
}

export const descriptionPath = '/rootDesc.xml'

/** Answers a search with one datagram for each match (UDA 1.1 §1.3.3). */
export function answerSearch(
  engine: Engine,
  request: Uint8Array,
  from: Sender,
  cast: Cast,
  place: DescriptionPlace
): readonly Uint8Array[] {
  const counters = engine.counters.ssdp
  const lines = Buffer.from(request).toString('latin1').split('\r\n')
  if (lines[0] !== 'M-SEARCH * HTTP/1.1') {
    counters.unknown += 1
    // Announcements of other devices also arrive here.
    if (!/^(NOTIFY|HTTP\/1\.1) /.test(lines[0] ?? '')) engine.violation(`ssdp: starts with ${lines[0]}`)
    return []
  }
  countOperation(counters, 'M-SEARCH')
  const headers = new Map(
    lines.slice(1).flatMap((line) => {
      const [, name, value] = /^([^:\s]+)\s*:\s*(.*)$/.exec(line) ?? []
      return name === undefined || value === undefined ? [] : [[name.toUpperCase(), value.trim()] as const]
    })
  )
  const wrong = complaint(headers, lines, cast)
  if (wrong !== undefined) {
    counters.errors += 1
    engine.violation(`ssdp: search from ${from.address} ${wrong}`)
    return []
  }
  const target = headers.get('ST') ?? ''
  if (engine.faults.strike('hears-only', 'ssdp', (fault) => fault.cast !== cast) !== undefined) return []
  if (engine.faults.strike('search-targets', 'ssdp', (fault) => !fault.only.includes(target)) !== undefined) return []
  return searchTargets(engine.upnp)
    .filter(({ type }) => target === 'ssdp:all' || isSameOrLater(type, target))
    .map(({ type, usn }) =>
      encode(engine, 'HTTP/1.1 200 OK', [
        ['CACHE-CONTROL', 'max-age=120'],
        // §1.3.3: a device answers with the requested version.
        ['ST', target === 'ssdp:all' ? type : target],
        ['USN', usn],
        ['EXT', ''],
        ['SERVER', 'Postern/1.0 UPnP/1.1 Testkit/1.0'],
        ['LOCATION', location(engine, place)]
      ])
    )
}

/** Encodes the announcements of a device that arrives or leaves (UDA 1.1 §1.2.2 and §1.2.3). */
export function encodeNotifications(
  engine: Engine,
  what: 'alive' | 'byebye',
  host: string,
  place: DescriptionPlace
): readonly Uint8Array[] {
  const notification = ({ type, usn }: SearchTarget): Uint8Array =>
    encode(engine, 'NOTIFY * HTTP/1.1', [
      ['HOST', host],
      ...(what === 'byebye'
        ? []
        : ([
            ['CACHE-CONTROL', 'max-age=120'],
            ['LOCATION', location(engine, place)],
            ['SERVER', 'Postern/1.0 UPnP/1.1 Testkit/1.0']
          ] as const)),
      ['NT', type],
      ['NTS', `ssdp:${what}`],
      ['USN', usn]
    ])
  return searchTargets(engine.upnp).map(notification)
}

/** Returns what a search lacks of UDA 1.1 §1.3.2; undefined if it is valid. */
function complaint(headers: ReadonlyMap<string, string>, lines: readonly string[], cast: Cast): string | undefined {
  if (lines.at(-1) !== '' || lines.at(-2) !== '') return 'does not end with an empty line'
  if (headers.get('MAN') !== '"ssdp:discover"') return `has MAN ${headers.get('MAN') ?? 'missing'}`
  if (!headers.has('HOST')) return 'has no HOST'
  if ((headers.get('ST') ?? '') === '') return 'has no ST'
  const mx = headers.get('MX')
  if (cast === 'multicast' && !/^[1-5]$/.test(mx ?? '')) return `has MX ${mx ?? 'missing'}`
  return undefined
}

/** Returns whether a type is the search target, or a later version of it. */
function isSameOrLater(type: string, target: string): boolean {
  if (type === target) return true
  const [, own, ownVersion] = /^(urn:.*):(\d+)$/.exec(type) ?? []
  const [, wanted, wantedVersion] = /^(urn:.*):(\d+)$/.exec(target) ?? []
  return own !== undefined && own === wanted && Number(ownVersion) >= Number(wantedVersion)
}

function location(engine: Engine, { address, port }: DescriptionPlace): string {
  const host = address.includes(':') ? `[${address}]` : address
  const fault = engine.faults.strike('location', 'ssdp')
  if (fault === undefined) return `http://${host}:${port}${descriptionPath}`
  return fault.location.replaceAll('{address}', host).replaceAll('{port}', String(port))
}

function encode(engine: Engine, start: string, headers: readonly (readonly [string, string])[]): Uint8Array {
  const { bootId, configId } = engine.upnp
  const odd = engine.faults.strike('http', 'ssdp', ({ what }) => what.endsWith('-headers'))?.what
  const all = [...headers, ['BOOTID.UPNP.ORG', String(bootId)], ['CONFIGID.UPNP.ORG', String(configId)]] as const
  const colon = odd === 'tight-headers' ? ':' : ': '
  const lines = all.map(
    ([name, value]) => `${odd === 'lower-case-headers' ? name?.toLowerCase() : name}${colon}${value}`
  )
  return Uint8Array.from(Buffer.from(`${[start, ...lines].join('\r\n')}\r\n\r\n`, 'latin1'))
}
