import { multiaddr } from '@multiformats/multiaddr'
import { type Family, isGlobal, parseDialAddress } from '@postern/interface'

/** A TCP destination. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly family: Family
}

/** More targets of one peer cannot be used. */
const maxTargets = 8

/**
 * Returns the target of a multiaddr that is plain TCP at an IP address; undefined for any other or invalid multiaddr.
 */
export function targetOf(address: Uint8Array | string): Target | undefined {
  try {
    const place = parseDialAddress(multiaddr(address).toString())
    if (place === undefined || place.transport !== 'tcp') return undefined
    return { host: place.address, port: place.port, family: place.family }
  } catch {
    return undefined
  }
}

/**
 * Returns the addresses of a peer that may be dialled: public addresses that are not our own. A peer could otherwise
 * name our router, a service on this host, or a victim that it wants to flood.
 *
 * @param own - internal and external addresses of this host
 */
export function targetsOf(addresses: readonly Uint8Array[], own: ReadonlySet<string>): readonly Target[] {
  const targets = new Map<string, Target>()
  for (const address of addresses) {
    const target = targetOf(address)
    if (target === undefined || !isGlobal(target.host) || own.has(target.host)) continue
    if (targets.size < maxTargets) targets.set(`${target.host} ${target.port}`, target)
  }
  return [...targets.values()]
}
