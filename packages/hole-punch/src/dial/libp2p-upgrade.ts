import type { Socket } from 'node:net'
import type { Connection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { anySignal, type CallOptions, type Clock, formatMultiaddr, natError, within } from '@postern/interface'
import type { HolePunchHost } from '../host.js'
import { SocketConnection } from './socket-connection.js'

/** The role in multistream, noise and yamux; the client speaks first (DCUtR, "connect with the correct role"). */
export type Role = 'client' | 'server'

/** Time limit for the upgrade (ms): three negotiations of one or two round trips each. */
const upgradeMs = 5000

/**
 * Upgrades a socket to a libp2p connection with exactly this peer. Rejects with `NO_REPLY`, with libp2p's error, or
 * with the signal's reason; then the socket is reset.
 *
 * @param opened - called when libp2p announces the connection. Listeners of that event may abort the round, and from
 * then on this socket must not be reset
 */
export async function upgradeSocket(
  { clock, components: { events, upgrader, logger } }: HolePunchHost,
  socket: Socket,
  peer: PeerId,
  role: Role,
  opened: () => void,
  { signal }: CallOptions
): Promise<Connection> {
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) {
    socket.destroy()
    throw natError('NO_REPLY', 'the connection was closed immediately')
  }
  const address = multiaddr(`${formatMultiaddr(remoteAddress, 'tcp', remotePort)}/p2p/${peer.toString()}`)
  const direction = role === 'client' ? 'outbound' : 'inbound'
  const raw = new SocketConnection(socket, address, direction, logger.forComponent('postern:hole-punch'))
  const late = (): Error => natError('NO_REPLY', `the libp2p handshake took longer than ${upgradeMs} ms`)
  let made: Connection | undefined
  const open = ({ detail }: CustomEvent<Connection>): void => {
    if (detail.direction !== direction || !detail.remoteAddr.equals(address)) return
    made = detail
    opened()
  }
  events.addEventListener('connection:open', open)
  try {
    // Without `initiator`, libp2p makes the dialling side the client, but here both sides dial.
    return await within(clock, upgradeMs, { signal }, late, (call) =>
      upgrader.upgradeOutbound(raw, { ...call, initiator: role === 'client' })
    )
  } catch (error) {
    if (made !== undefined) return made
    raw.abort(error instanceof Error ? error : new Error(String(error)))
    throw error
  } finally {
    events.removeEventListener('connection:open', open)
  }
}

/**
 * The bytes that a server may send first: go-libp2p sends the length-prefixed name of multistream before it receives
 * anything (multistream-select 1.0). Only a client sends a protocol proposal after it.
 */
const greetingBytes = '\u0013/multistream/1.0.0\n'.length

/**
 * Resolves with whether the other side proposes a protocol, as a client does, within this time. Consumes no bytes.
 * Rejects with the signal's reason.
 */
export async function proposes(socket: Socket, ms: number, clock: Clock, { signal }: CallOptions): Promise<boolean> {
  const heard = new AbortController()
  const hasProposed = (): boolean => socket.readableLength > greetingBytes
  const look = (): void => {
    if (hasProposed()) heard.abort()
  }
  const closed = (): void => heard.abort()
  socket.on('readable', look)
  socket.once('close', closed)
  try {
    if (hasProposed()) return true
    await clock.sleep(ms, { signal: anySignal([signal, heard.signal]) }).catch(() => undefined)
    signal.throwIfAborted()
    return hasProposed()
  } finally {
    socket.removeListener('readable', look)
    socket.removeListener('close', closed)
  }
}
