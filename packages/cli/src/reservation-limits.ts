import { canonicalAddress, familyOf, networkOf } from '@postern/interface'

/** How much of a relay one party may take. */
export interface ReservationLimits {
  /** Reservations of peers at one IPv4 address, or in one /64 of IPv6: that is what one customer has. */
  readonly perIp: number
  /** Reservations of peers in one network: /16 of IPv4, /32 of IPv6. */
  readonly perNetwork: number
}

/** Who holds a reservation, or asks for one. */
export interface Holder {
  readonly peer: string
  /** IP address. */
  readonly address: string
}

/** Why a reservation is refused: too many at the IP address, or in the network; or there is no IP address to count by. */
export type Refusal = 'ip' | 'network' | 'address'

/**
 * Why a reservation is to be refused; undefined where it may be given. Pure.
 *
 * A peer holds one reservation at most (circuit relay v2, "Reservation"), so one that it renews, or takes to another
 * address, does not count beside itself.
 */
export function findRefusal(
  live: Iterable<Holder>,
  asking: Holder,
  { perIp, perNetwork }: ReservationLimits
): Refusal | undefined {
  const customer = customerOf(asking.address)
  const network = networkOf(asking.address)
  if (customer === undefined || network === undefined) return 'address'
  let sameCustomer = 0
  let sameNetwork = 0
  for (const { peer, address } of live) {
    if (peer === asking.peer) continue
    if (customerOf(address) === customer) sameCustomer++
    if (networkOf(address) === network) sameNetwork++
  }
  if (sameCustomer >= perIp) return 'ip'
  return sameNetwork >= perNetwork ? 'network' : undefined
}

/** The IPv4 address, or the first four groups of the IPv6 address. */
function customerOf(address: string): string | undefined {
  const plain = canonicalAddress(address)
  if (plain === undefined || familyOf(plain) === 4) return plain
  const [head = '', tail] = plain.split('::')
  const before = head.split(':').filter((group) => group !== '')
  const after = tail === undefined ? [] : tail.split(':').filter((group) => group !== '')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}
