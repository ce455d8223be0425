import type { Connection } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { parseDialAddress } from '@postern/interface'
import { isDirect } from '@postern/libp2p-utils'
import type { ReservationBook } from './reservation-store.js'

/** A relay has a few addresses, and all of them are announced to every peer. */
const maxAddresses = 16

/** A DNS name at the beginning of a multiaddr. */
const nameFirst = /^\/dns[46]?\/([a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,20})\.?(?=\/)/i
/** Replaces the DNS name while the rest of the address is parsed. */
const placeholder = '/ip4/192.0.2.1'

/**
 * Returns those of a relay's reported addresses that may be announced as ours, with the relay's peer id at the end.
 *
 * A relay can report any address, and every peer dials the addresses that this node announces. The relay is therefore
 * trusted for ports and transports only. The host must be one that this node is connected to (Noise has proven that the
 * relay is at that address), or one that was configured. This excludes third parties and private addresses at which the
 * relay was not reached. It also excludes a DNS name or an address of the other IP version unless it was configured: a
 * signed peer record proves only that the relay itself claims the address.
 *
 * @param relay - peer id of the relay
 * @param told - addresses as the relay wrote them
 * @param reached - addresses at which this node is connected to the relay
 * @param named - configured addresses of the relay
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

/**
 * Returns the text of an address, with the relay's id at its end, and its normalized host. Returns undefined unless the
 * address has exactly one host and one port: names in SNI, paths and further relays lead elsewhere.
 */
function readAddress(address: string, relay: string): { readonly text: string; readonly host: string } | undefined {
  const [begin, name] = nameFirst.exec(address) ?? []
  const parsed = parseDialAddress(begin === undefined ? address : address.replace(begin, placeholder))
  if (parsed === undefined || (parsed.peerId !== undefined && parsed.peerId !== relay)) return undefined
  const own = begin === undefined ? parsed.text : parsed.text.replace(placeholder, begin)
  const text = parsed.peerId === undefined ? `${own}/p2p/${relay}` : own
  return { text, host: name?.toLowerCase() ?? parsed.address }
}

/** The limit in bytes. The time to decode an address grows faster than its length. */
const maxAddressBytes = 1024

function decode(bytes: Uint8Array): Multiaddr | undefined {
  if (bytes.length > maxAddressBytes) return undefined
  try {
    return multiaddr(bytes)
  } catch {
    return undefined
  }
}

/** The part of a reservation event of `circuitRelayTransport()` that is used here. */
interface ToldReservation {
  readonly relay: { toString(): string }
  readonly reservation: { addrs: Uint8Array[] }
}

/**
 * Makes `circuitRelayTransport()` announce accepted addresses only, however it obtained the reservation. Its listeners
 * read the addresses when they receive the reservation event or later. Must be called before the first listener is
 * created.
 *
 * @param namedBy - returns the configured addresses of a relay
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
