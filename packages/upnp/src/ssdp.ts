import { natError } from '@postern/interface'

/** UDA 1.1 §1.1: the port and the groups of SSDP. */
export const ssdpPort = 1900
export const ssdpGroup = '239.255.255.250'
/** UDA 2.0 annex A.2.1: the group of a link. */
export const ssdpGroup6 = 'ff02::c'

/** What is looked for, in this order: some routers answer to one of them only. */
export const igd2 = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
export const igd1 = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
export const everything = 'ssdp:all'
/** Every device that stands for itself answers this one. */
export const rootDevice = 'upnp:rootdevice'

/** An ordinary message is below 600 bytes. */
const maxBytes = 4096

export interface SsdpMessage {
  readonly kind: 'answer' | 'alive' | 'byebye'
  /** ST or NT: what the message is about. */
  readonly target: string
  /** The device, without the part of it that the message is about. */
  readonly uuid: string | undefined
  readonly location: string | undefined
  /** UDA 1.1 §1.2.2: another value than before means that the device has started again. Older devices have none. */
  readonly bootId: number | undefined
}

/** UDA 1.1 §1.3.2. `mxSeconds` bounds how long devices put off their answer; unicast searches have none (§1.3.2). */
export function encodeSearch(target: string, to: string, mxSeconds?: number): Uint8Array {
  const lines = [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${to}`,
    'MAN: "ssdp:discover"',
    ...(mxSeconds === undefined ? [] : [`MX: ${mxSeconds}`]),
    `ST: ${target}`
  ]
  return new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n`)
}

/** Reads an answer or an announcement. Undefined for what is neither, a search of another host for example. Throws
 * `MALFORMED_REPLY` for what is no SSDP at all. */
export function decodeSsdp(bytes: Uint8Array): SsdpMessage | undefined {
  if (bytes.length > maxBytes) throw natError('MALFORMED_REPLY', `not an SSDP message: ${bytes.length} bytes`)
  const [first = '', ...rest] = new TextDecoder().decode(bytes).trimStart().split(/\r?\n/)
  if (/^M-SEARCH\s/i.test(first)) return undefined
  const isAnswer = /^HTTP\/1\.\d\s+200(?!\d)/i.test(first)
  if (!isAnswer && !/^NOTIFY\s+\*\s+HTTP\/1\.\d/i.test(first)) {
    throw natError('MALFORMED_REPLY', 'not an SSDP message: neither an answer nor an announcement')
  }
  const headers = new Map<string, string>()
  for (const line of rest) {
    const colon = line.indexOf(':')
    // Where a name comes twice the first counts, for all readers alike.
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase()
    if (name !== '' && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  const kind = isAnswer ? 'answer' : kindOf(headers.get('nts'))
  // Some firmware leaves ST out: the answer is about what was searched for then, and its description tells.
  const target = headers.get(isAnswer ? 'st' : 'nt') ?? (isAnswer ? '' : undefined)
  if (kind === undefined || target === undefined) return undefined
  const bootId = headers.get('bootid.upnp.org') ?? ''
  return {
    kind,
    target,
    uuid: /^uuid:[^:\s]+/i.exec(headers.get('usn') ?? '')?.[0].toLowerCase(),
    location: headers.get('location'),
    bootId: /^\d{1,10}$/.test(bootId) ? Number(bootId) : undefined
  }
}

function kindOf(subtype: string | undefined): 'alive' | 'byebye' | undefined {
  const name = subtype?.toLowerCase()
  return name === 'ssdp:alive' ? 'alive' : name === 'ssdp:byebye' ? 'byebye' : undefined
}

/** Whether a message is about a gateway, or about one of the services of a gateway. */
export const isAboutGateway = ({ target }: SsdpMessage): boolean =>
  /:(?:InternetGatewayDevice|WANDevice|WANConnectionDevice|WANIPConnection|WANPPPConnection|WANIPv6FirewallControl):/i.test(
    target
  )
