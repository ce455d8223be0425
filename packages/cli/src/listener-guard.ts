import { type Server, Server as NetServer, type Socket } from 'node:net'
import type { Listener, Transport } from '@libp2p/interface'
import { guardMessages } from './message-guard.js'

/** Looks at each socket that a listener accepts, before a byte of it is read. Returns whether the listener gets it. */
export type SocketGuard = (socket: Socket, kind: ListenerKind) => boolean

/** A WebSocket listener first reads an HTTP request, of which libp2p's limits know nothing. */
export type ListenerKind = 'tcp' | 'ws'

/**
 * Returns a transport whose listeners ask the guard about each socket. A socket that it turns away is destroyed.
 *
 * libp2p asks its connection gater too late for this: a WebSocket is known to it after the HTTP upgrade, which a peer can
 * put off for ever. Neither `tcp()` of @libp2p/tcp 11 nor `webSockets()` of @libp2p/websockets 10 has an option for it.
 * The server of a listener is not in its interface; the versions are pinned, and a test holds it. Throws where there is none.
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
    // What the kernel or the peer says of it after it was turned away is of no interest.
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
