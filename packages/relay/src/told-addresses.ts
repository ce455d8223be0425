import type { Connection } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, isMultiaddrText } from '@postern/interface'
import { isDirect } from './direct.js'
import type { ReservationBook } from './reservation-book.js'

/** A relay has a handful of addresses. All of them are told to every peer. */
const maxAddresses = 16

/** What may follow the host of an address that is announced: no names (SNI, paths), which lead elsewhere. */
const transports: ReadonlySet<string> = new Set([
  'tcp',
  'tcp/ws',
  'tcp/wss',
  'tcp/tls/ws',
  'udp/quic-v1',
  'udp/quic-v1/webtransport',
  'udp/webrtc-direct'
])
const hosts: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])
/** Two certificates at a time, and as many that come next. */
const maxCerthashes = 4

/**
 * Those of the addresses told by a relay that may be announced as ours, with its peer id at the end.
 *
 * A relay can tell anything, and what we announce is dialled by every peer. So its word is taken for nothing but ports and
 * transports: the host is one that a connection of ours to the relay leads to (Noise has proven there that the relay is at its
 * other end), or that the user named. Third parties, and private addresses that the relay was not reached at, are left
 * out, as is a name or an address of the other IP version unless it was named: a signed peer record proves no more than
 * that the relay says so itself.
 *
 * @param relay - peer id
 * @param told - addresses as the relay wrote them
 * @param reached - addresses at which we are connected to it
 * @param named - addresses by which the user named it: these may be of any shape
 */
export function acceptedAddresses(
  relay: string,
  told: readonly Uint8Array[],
  reached: readonly Multiaddr[],
  named: readonly Multiaddr[]
): readonly Multiaddr[] {
  const known = new Set([
    ...reached.flatMap((address) => readAddress(address, relay)?.host ?? []),
    ...named.flatMap((address) => hostOf(address) ?? [])
  ])
  const namedTexts = new Set(named.map((address) => withoutId(address, relay)))
  const accepted = new Map<string, Multiaddr>()
  for (const bytes of told) {
    const address = decode(bytes)
    if (address === undefined) continue
    const read = readAddress(address, relay)
    const isNamed = namedTexts.has(withoutId(address, relay))
    const text = isNamed ? `${withoutId(address, relay)}/p2p/${relay}` : read?.text
    if (text === undefined || accepted.has(text) || !(isNamed || known.has(read?.host ?? ''))) continue
    accepted.set(text, multiaddr(text))
    if (accepted.size === maxAddresses) break
  }
  return [...accepted.values()]
}

const withoutId = (address: Multiaddr, relay: string): string =>
  address.toString().replace(new RegExp(`/p2p/${relay}$`), '')

/** The host that an address begins with, in one form; undefined where it begins with none. */
function hostOf(address: Multiaddr): string | undefined {
  const [host] = address.getComponents()
  if (host?.value === undefined || !hosts.has(host.name)) return undefined
  if (!host.name.startsWith('dns')) return canonicalAddress(host.value)
  if (!/^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/i.test(host.value)) return undefined
  return host.value.toLowerCase().replace(/\.$/, '')
}

/** Text of an address of an allowed shape, with the relay's id at its end, and its host in one form. */
function readAddress(address: Multiaddr, relay: string): { readonly text: string; readonly host: string } | undefined {
  const [host, ...rest] = address.getComponents()
  const last = rest.at(-1)?.name === 'p2p' ? rest.pop() : undefined
  const canonical = hostOf(address)
  if (host === undefined || canonical === undefined) return undefined
  if (last !== undefined && last.value !== relay) return undefined
  const certhashes = rest.filter(({ name }) => name === 'certhash')
  const transport = rest.filter(({ name }) => name !== 'certhash').map(({ name }) => name)
  if (!transports.has(transport.join('/')) || certhashes.length > maxCerthashes) return undefined
  if (certhashes.length > 0 && !['webtransport', 'webrtc-direct'].includes(transport.at(-1) ?? '')) return undefined
  const port = Number(rest[0]?.value)
  if (!(port > 0 && port < 65_536)) return undefined
  const own = [host, ...rest].map(({ name, value }) => `/${name}${value === undefined ? '' : `/${value}`}`).join('')
  const text = `${own}/p2p/${relay}`
  return isMultiaddrText(text) ? { text, host: canonical } : undefined
}

function decode(bytes: Uint8Array): Multiaddr | undefined {
  try {
    return multiaddr(bytes)
  } catch {
    return undefined
  }
}

/** What `circuitRelayTransport()` keeps of a reservation, as far as its event tells. */
interface ToldReservation {
  readonly relay: { toString(): string }
  readonly reservation: { addrs: Uint8Array[] }
}

/**
 * Has `circuitRelayTransport()` announce accepted addresses only, whichever way it came to its reservation. Its listeners
 * read the addresses once they are told of a reservation, or after; to be called before the first of them is made.
 *
 * @param namedBy - addresses by which the user named a relay
 */
export function screenReservations(
  book: ReservationBook,
  connectionsTo: (relay: string) => readonly Connection[],
  namedBy: (relay: string) => readonly Multiaddr[]
): void {
  book.addEventListener('relay:created-reservation', (event) => {
    const told = event instanceof CustomEvent ? readEvent(event.detail) : undefined
    if (told === undefined) return
    const { reservation } = told
    const relay = told.relay.toString()
    const reached = connectionsTo(relay).filter(isDirect)
    const at = reached.map(({ remoteAddr }) => remoteAddr)
    reservation.addrs = acceptedAddresses(relay, reservation.addrs, at, namedBy(relay)).map(({ bytes }) => bytes)
  })
}

function readEvent(detail: unknown): ToldReservation | undefined {
  if (!isObject(detail) || !('relay' in detail) || !('details' in detail)) return undefined
  const { relay, details } = detail
  if (!isObject(relay) || !isObject(details) || !('reservation' in details)) return undefined
  const { reservation } = details
  return hasAddresses(reservation) ? { relay, reservation } : undefined
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const hasAddresses = (value: unknown): value is { addrs: Uint8Array[] } =>
  isObject(value) && 'addrs' in value && Array.isArray(value.addrs)
