import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, type Family, isGlobal, parseDialAddress } from '@postern/interface'

/** Where a socket can be connected to. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly family: Family
}

/** A peer that offers more has prepared more than can be used. */
const mostTargets = 8

/** The place of a multiaddr that is plain TCP on an IP address; undefined for every other, and for what is none. */
export function targetOf(address: Uint8Array | string): Target | undefined {
  try {
    const place = parseDialAddress(multiaddr(address).toString())
    if (place === undefined || place.transport !== 'tcp') return undefined
    return { host: place.address, port: place.port, family: place.family }
  } catch {
    return undefined
  }
}

/** The IP address with which a multiaddr begins; undefined where that is a name. */
export const hostOf = (address: Multiaddr): string | undefined =>
  canonicalAddress(address.getComponents().find(({ name }) => name !== 'ip6zone')?.value ?? '')

/**
 * The addresses of a peer that may be punched: public ones that are not ours. A peer could name the router of our own
 * home, a service on this host, or somebody whom it wants to see flooded.
 *
 * @param own - addresses of this host, and those that it has outside
 */
export function targetsOf(addresses: readonly Uint8Array[], own: ReadonlySet<string>): readonly Target[] {
  const targets = new Map<string, Target>()
  for (const address of addresses) {
    const target = targetOf(address)
    if (target === undefined || !isGlobal(target.host) || own.has(target.host)) continue
    if (targets.size < mostTargets) targets.set(`${target.host} ${target.port}`, target)
  }
  return [...targets.values()]
}
