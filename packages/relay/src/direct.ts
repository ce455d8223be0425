import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isGlobal, networkOf } from '@postern/interface'

/** No relay stands between. */
export const isDirect = ({ direct, limits, status }: Connection): boolean =>
  direct && limits === undefined && status === 'open'

/** Whether it was us who dialled, too: only then is the other end's address one that others can dial. */
export const isDialledDirectly = (connection: Connection): boolean =>
  connection.direction === 'outbound' && isDirect(connection)

/** Whether the other end was dialled by its IP address, and not by a name. */
export const isByAddress = ({ remoteAddr }: Connection): boolean => hostOf(remoteAddr)?.isAddress === true

/**
 * The part of the internet that the other end of a connection is in; undefined where its address is none.
 *
 * One that was dialled by name counts as being where it says it has an address, and as a network of its own where it says
 * nothing.
 *
 * @param told - the addresses that the peer says it has
 */
export function networkOfConnection({ remoteAddr }: Connection, told: readonly Multiaddr[]): string | undefined {
  const host = hostOf(remoteAddr)
  if (host === undefined || host.isAddress) return host && networkOf(host.text)
  const global = told.map(hostOf).find((each) => each?.isAddress === true && isGlobal(each.text))
  return networkOf(global?.text ?? '') ?? host.text
}

function hostOf(address: Multiaddr): { readonly text: string; readonly isAddress: boolean } | undefined {
  const first = address.getComponents().find(({ name }) => name !== 'ip6zone')
  if (first?.value === undefined) return undefined
  return { text: first.value, isAddress: first.name === 'ip4' || first.name === 'ip6' }
}
