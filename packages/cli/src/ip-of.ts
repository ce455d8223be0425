import type { Connection, MultiaddrConnection } from '@libp2p/interface'

/** Returns the IP address that a connection comes from: of a relayed one, that of the relay. Empty if there is none. */
export const ipOf = ({ remoteAddr }: Pick<Connection | MultiaddrConnection, 'remoteAddr'>): string =>
  // An IPv6 address may have its zone in front.
  remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? ''
