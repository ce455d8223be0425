import type { Connection } from '@libp2p/interface'
import { networkOf } from '@postern/interface'

/** The part of the internet that the other end of a connection is in; undefined where its address is none. */
export function networkOfConnection({ remoteAddr }: Connection): string | undefined {
  const host = remoteAddr.getComponents()[0]
  if (host?.value === undefined) return undefined
  return host.name === 'ip4' || host.name === 'ip6' ? networkOf(host.value) : host.value
}

/** Whether it was us who dialled, and no relay stands between: only then is its address one that others can dial. */
export const isDialledDirectly = ({ direction, direct, limits, status }: Connection): boolean =>
  direction === 'outbound' && direct && limits === undefined && status === 'open'
