import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isGlobal, networkPrefixOf } from '@postern/interface'
import { hostOf, ipOf } from '@postern/libp2p-utils'

/** Returns whether the remote address is an IP address and not a DNS name. */
export const isByAddress = ({ remoteAddr }: Connection): boolean => ipOf(remoteAddr) !== undefined

/**
 * Returns the network (/16 or /32) of the remote end of a connection; undefined if it has no usable address.
 *
 * For a peer that was dialled by DNS name, the result is the network of the first global address that it reports, or
 * the name itself if it reports none.
 *
 * @param told - the addresses that the peer reports
 */
export function networkOfConnection({ remoteAddr }: Connection, told: readonly Multiaddr[]): string | undefined {
  const ip = ipOf(remoteAddr)
  if (ip !== undefined) return networkPrefixOf(ip)
  const name = hostOf(remoteAddr)
  if (name === undefined) return undefined
  const global = told.map(ipOf).find((each) => each !== undefined && isGlobal(each))
  return networkPrefixOf(global ?? '') ?? name
}
