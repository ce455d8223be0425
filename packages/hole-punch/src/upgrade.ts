import type { Socket } from 'node:net'
import type { Connection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { anySignal, type CallOptions, type Clock, formatMultiaddr, natError } from '@postern/interface'
import { within } from '@postern/net'
import type { HolePunchHost } from './host.js'
import { SocketConnection } from './socket-connection.js'

/** Who speaks first in multistream, noise and yamux (DCUtR, "connect with the correct role"). */
export type Role = 'client' | 'server'

/** Three negotiations of a round trip or two each, in ms. */
const upgradeMs = 5000

/**
 * Makes a libp2p connection of a socket, to that peer and no other. Rejects with `NO_REPLY`, with libp2p's error, or with
 * the signal's reason; then the socket is reset.
 *
 * @param opened - called in the moment when libp2p announces the connection: whoever hears of it then may abort what is
 *   under way, and this socket is not to be reset any more
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
    throw natError('NO_REPLY', 'the connection was closed at once')
  }
  const address = multiaddr(`${formatMultiaddr(remoteAddress, 'tcp', remotePort)}/p2p/${peer.toString()}`)
  const direction = role === 'client' ? 'outbound' : 'inbound'
  const raw = new SocketConnection(socket, address, direction, logger.forComponent('postern:hole-punch'))
  const late = (): Error => natError('NO_REPLY', `no libp2p connection within ${upgradeMs} ms`)
  let made: Connection | undefined
  const open = ({ detail }: CustomEvent<Connection>): void => {
    if (detail.direction !== direction || !detail.remoteAddr.equals(address)) return
    made = detail
    opened()
  }
  events.addEventListener('connection:open', open)
  try {
    // Without `initiator` libp2p takes whoever dials for the client, and here both do.
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
 * What a server may say unasked, in bytes: go-libp2p sends the name of multistream with its length before it hears anything
 * (multistream-select 1.0). A client proposes a protocol after it.
 */
const greetingBytes = '\u0013/multistream/1.0.0\n'.length

/** Whether the other side speaks as a client does within that time. Takes nothing of what it says. */
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
