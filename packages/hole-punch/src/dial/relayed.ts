import type { Connection } from '@libp2p/interface'
import { type Family, familyOf } from '@postern/interface'
import { hostOf } from './targets.js'

/**
 * Returns whether an open connection leads through a relay, limited or not. A WebRTC connection does not, although a
 * relay arranges it.
 */
export function isRelayed({ limits, remoteAddr, status }: Connection): boolean {
  const names = new Set(remoteAddr.getComponents().map(({ name }) => name))
  return status === 'open' && (limits !== undefined || (names.has('p2p-circuit') && !names.has('webrtc')))
}

/** Returns whether a connection is open and leads to the peer without a relay. */
export const isDirect = (connection: Connection): boolean => connection.status === 'open' && !isRelayed(connection)

/** Returns the family of the address at which the relay was dialled, by either side; undefined for a DNS name. */
export const familyOfRelay = ({ remoteAddr }: Connection): Family | undefined => familyOf(hostOf(remoteAddr) ?? '')

/** Returns the peer id of the relay; undefined if the address does not contain it. */
export function relayOf({ remoteAddr }: Connection): string | undefined {
  const components = remoteAddr.getComponents()
  const circuit = components.findIndex(({ name }) => name === 'p2p-circuit')
  return components.slice(0, circuit).findLast(({ name }) => name === 'p2p')?.value
}
