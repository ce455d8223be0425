import type { Connection } from '@libp2p/interface'
import { type Family, familyOf } from '@postern/interface'
import { hostOf } from './targets.js'

/** A connection through a relay, whether or not the relay limits it. WebRTC is only arranged through one. */
export function isRelayed({ limits, remoteAddr, status }: Connection): boolean {
  const names = new Set(remoteAddr.getComponents().map(({ name }) => name))
  return status === 'open' && (limits !== undefined || (names.has('p2p-circuit') && !names.has('webrtc')))
}

/** Whether a connection is open, and no relay stands between. */
export const isDirect = (connection: Connection): boolean => connection.status === 'open' && !isRelayed(connection)

/** Of the address under which the relay was dialled, here or by the other side; undefined where that is a name. */
export const familyOfRelay = ({ remoteAddr }: Connection): Family | undefined => familyOf(hostOf(remoteAddr) ?? '')

/** The peer id of the relay; undefined where the address does not name it. */
export function relayOf({ remoteAddr }: Connection): string | undefined {
  const components = remoteAddr.getComponents()
  const circuit = components.findIndex(({ name }) => name === 'p2p-circuit')
  return components.slice(0, circuit).findLast(({ name }) => name === 'p2p')?.value
}
