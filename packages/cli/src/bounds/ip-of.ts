import type { Connection, MultiaddrConnection } from '@libp2p/interface'

/** Returns the IP address of the remote end of a connection; for a relayed one, the address of the relay. Empty if
 * there is none. */
export const ipOf = ({ remoteAddr }: Pick<Connection | MultiaddrConnection, 'remoteAddr'>): string =>
  // The first component may be the zone of an IPv6 address.
  remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? ''
