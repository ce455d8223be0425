import { Server as NetServer, type Server, type Socket } from 'node:net'
import type { Listener, Transport } from '@libp2p/interface'
import { guardMessages } from './message-guard.js'

/** Decides about each socket that a listener accepts, before a byte of it is read. Returns whether the listener gets
 * it. */
export type SocketGuard = (socket: Socket, kind: ListenerKind) => boolean

/** The kind of a listener. A WebSocket listener first reads an HTTP request, to which the limits of libp2p do not
 * apply. */
export type ListenerKind = 'tcp' | 'ws'

/**
 * Returns a transport with listeners that ask the guard about each socket. A socket that the guard refuses is
 * destroyed.
 *
 * The connection gater of libp2p is too late for this: it sees a WebSocket only after the HTTP upgrade, which a peer
 * can delay for ever. Neither `tcp()` of @libp2p/tcp 11 nor `webSockets()` of @libp2p/websockets 10 has an option for
 * it. The server of a listener is not in its public interface; the versions are pinned, and a test checks this. Throws
 * if there is none.
 */
export function guardedTransport<Components>(
  make: (components: Components) => Transport,
  kind: ListenerKind,
  guard: SocketGuard
): (components: Components) => Transport {
  return (components) => {
    const transport = make(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const listener = createListener(options)
      guardServer(serverOf(listener), kind, guard)
      if (kind === 'ws') guardMessages(listener)
      return listener
    }
    return transport
  }
}

function guardServer(server: Server, kind: ListenerKind, guard: SocketGuard): void {
  const listeners = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    // Ignore errors of a socket that was refused.
    socket.on('error', () => undefined)
    if (!guard(socket, kind)) {
      socket.destroy()
      return
    }
    for (const listener of listeners) Reflect.apply(listener, server, [socket])
  })
}

function serverOf(listener: Listener): Server {
  if ('server' in listener && listener.server instanceof NetServer) return listener.server
  throw new Error('this version of the transport is not known here')
}
