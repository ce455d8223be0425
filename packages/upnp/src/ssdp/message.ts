import { natError } from '@postern/interface'

/** The UDP port of SSDP (UDA 1.1 §1.1). */
export const ssdpPort = 1900
/** The IPv4 multicast group of SSDP (UDA 1.1 §1.1). */
export const ssdpGroup = '239.255.255.250'
/** The link-local IPv6 multicast group of SSDP (UDA 2.0 annex A.2.1). */
export const ssdpGroup6 = 'ff02::c'

/** The search targets. Some routers answer only one of them. */
export const igd2 = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
export const igd1 = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
export const everything = 'ssdp:all'
/** Every root device answers this search target. */
export const rootDevice = 'upnp:rootdevice'

/** The maximum size of a message; ordinary ones have less than 600 bytes. */
const maxBytes = 4096

/** A decoded SSDP message: the answer to a search, or an announcement. */
export interface SsdpMessage {
  readonly kind: 'answer' | 'alive' | 'byebye'
  /** The header ST or NT: what the message is about. */
  readonly target: string
  /** The UUID of the device. */
  readonly uuid: string | undefined
  readonly location: string | undefined
  /** Changes when the device restarts (UDA 1.1 §1.2.2). Older devices do not send it. */
  readonly bootId: number | undefined
}

/** Encodes a search (UDA 1.1 §1.3.2). `mxSeconds` limits how long devices delay their answer; unicast searches do not
 * have it. */
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

/** Decodes an answer or an announcement. Returns undefined for other messages, such as a search of another host. Throws
 * `MALFORMED_REPLY` if it is not SSDP. */
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
    // If a header occurs twice, the first one counts.
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase()
    if (name !== '' && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  const kind = isAnswer ? 'answer' : kindOf(headers.get('nts'))
  // Some firmware omits ST. The answer then is about the search target, and the description shows what the device is.
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

/** Returns whether a message is about a gateway, or about one of the services of a gateway. */
export const isAboutGateway = ({ target }: SsdpMessage): boolean =>
  /:(?:InternetGatewayDevice|WANDevice|WANConnectionDevice|WANIPConnection|WANPPPConnection|WANIPv6FirewallControl):/i.test(
    target
  )
