import type { Connection } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { parseDialAddress } from '@postern/interface'
import { isDirect } from './direct.js'
import type { ReservationBook } from './reservation-book.js'

/** A relay has a handful of addresses. All of them are told to every peer. */
const maxAddresses = 16

/** A host name as it begins an address. */
const nameFirst = /^\/dns[46]?\/([a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,20})\.?(?=\/)/i
/** What stands for a name while the rest is read. */
const placeholder = '/ip4/192.0.2.1'

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
 * @param named - addresses by which the user named it
 */
export function acceptedAddresses(
  relay: string,
  told: readonly Uint8Array[],
  reached: readonly Multiaddr[],
  named: readonly Multiaddr[]
): readonly Multiaddr[] {
  const known = new Set([...reached, ...named].flatMap((address) => readAddress(address.toString(), relay)?.host ?? []))
  const accepted = new Set<string>()
  for (const bytes of told) {
    const read = readAddress(decode(bytes)?.toString() ?? '', relay)
    if (read !== undefined && known.has(read.host)) accepted.add(read.text)
    if (accepted.size === maxAddresses) break
  }
  return [...accepted].map((text) => multiaddr(text))
}

/** Text of an address of one host and one port, with the relay's id at its end, and its host in one form. Undefined for any
 * other address: names in SNI, paths and further relays lead elsewhere. */
function readAddress(address: string, relay: string): { readonly text: string; readonly host: string } | undefined {
  const [begin, name] = nameFirst.exec(address) ?? []
  const parsed = parseDialAddress(begin === undefined ? address : address.replace(begin, placeholder))
  if (parsed === undefined || (parsed.peerId !== undefined && parsed.peerId !== relay)) return undefined
  const own = begin === undefined ? parsed.text : parsed.text.replace(placeholder, begin)
  const text = parsed.peerId === undefined ? `${own}/p2p/${relay}` : own
  return { text, host: name?.toLowerCase() ?? parsed.address }
}

/** In bytes. Decoding takes time that grows faster than the length. */
const maxAddressBytes = 1024

function decode(bytes: Uint8Array): Multiaddr | undefined {
  if (bytes.length > maxAddressBytes) return undefined
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
