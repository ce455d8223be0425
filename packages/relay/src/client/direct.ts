import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isGlobal, networkPrefixOf } from '@postern/interface'

/** Returns whether a connection is open and leads to the peer without a relay. */
export const isDirect = ({ direct, limits, status }: Connection): boolean =>
  direct && limits === undefined && status === 'open'

/**
 * Returns whether a connection is direct and was dialled by this node. Only then can other peers dial its remote
 * address.
 */
export const isDialledDirectly = (connection: Connection): boolean =>
  connection.direction === 'outbound' && isDirect(connection)

/** Returns whether the remote address is an IP address and not a DNS name. */
export const isByAddress = ({ remoteAddr }: Connection): boolean => hostOf(remoteAddr)?.isAddress === true

/**
 * Returns the network (/16 or /32) of the remote end of a connection; undefined if it has no usable address.
 *
 * For a peer that was dialled by DNS name, the result is the network of the first global address that it reports, or
 * the name itself if it reports none.
 *
 * @param told - the addresses that the peer reports
 */
export function networkOfConnection({ remoteAddr }: Connection, told: readonly Multiaddr[]): string | undefined {
  const host = hostOf(remoteAddr)
  if (host === undefined || host.isAddress) return host && networkPrefixOf(host.text)
  const global = told.map(hostOf).find((each) => each?.isAddress === true && isGlobal(each.text))
  return networkPrefixOf(global?.text ?? '') ?? host.text
}

function hostOf(address: Multiaddr): { readonly text: string; readonly isAddress: boolean } | undefined {
  const first = address.getComponents().find(({ name }) => name !== 'ip6zone')
  if (first?.value === undefined) return undefined
  return { text: first.value, isAddress: first.name === 'ip4' || first.name === 'ip6' }
}
