import type { Connection } from '@libp2p/interface'
import { type Route, routeOf } from './multiaddr.js'

/**
 * Returns whether an open connection leads through a relay, limited or not. A WebRTC connection does not, although a
 * relay arranges it.
 */
export function isRelayed({ limits, remoteAddr, status }: Connection): boolean {
  if (status !== 'open') return false
  if (limits !== undefined) return true
  const names = new Set(remoteAddr.getComponents().map(({ name }) => name))
  return names.has('p2p-circuit') && !names.has('webrtc')
}

/** Returns whether a connection is open and leads to the peer without a relay. */
export const isDirect = (connection: Connection): boolean => connection.status === 'open' && !isRelayed(connection)

/**
 * Returns whether a connection is direct and was dialled by this node. Only then can other peers dial its remote
 * address.
 */
export const isDialledDirectly = (connection: Connection): boolean =>
  connection.direction === 'outbound' && isDirect(connection)

/** Returns the route of a connection; undefined if the connection is relayed, limited or closed. */
export const directRoute = (connection: Connection): Route | undefined =>
  isDirect(connection) ? routeOf(connection.remoteAddr) : undefined

/** Returns the peer id of the relay that a connection leads through; undefined if its address does not contain it. */
export function relayOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string | undefined {
  const components = remoteAddr.getComponents()
  const circuit = components.findIndex(({ name }) => name === 'p2p-circuit')
  return components.slice(0, Math.max(0, circuit)).findLast(({ name }) => name === 'p2p')?.value
}
