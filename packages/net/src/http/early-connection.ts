import type { Socket } from 'node:net'
import { familyOf } from '@postern/interface'
import { nodeNet, nodeTls } from '../async/builtins.js'
import { addHandle } from '../async/handles.js'

/** A connection to an HTTP server that is opened before there is a request. It saves the round trip of the handshake, if
 * a request follows soon. */
export interface EarlyConnection {
  /** Returns the connection, which may still be in its handshake, for one request. Returns undefined if it has failed,
   * was closed, or was taken before. */
  take(): Socket | undefined
  /** Closes the connection unless it was taken. Idempotent. */
  close(): void
}

/** Connects to the host of a URL. Does not report a failure: a request without an early connection opens its own.
 *
 * @param connectTo - the address to connect to, in place of the host of the URL
 */
export function openEarly(url: URL, connectTo: string): EarlyConnection {
  const isTls = url.protocol === 'https:'
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port)
  const socket: Socket = isTls
    ? nodeTls().connect({ host: connectTo, port, ...serverNameOf(url) })
    : nodeNet().connect(port, connectTo)
  let isTaken = false
  socket.on('error', () => undefined)
  socket.once('close', addHandle(socket))
  return {
    take() {
      if (isTaken || socket.destroyed || socket.readableEnded) return undefined
      isTaken = true
      return socket
    },
    close() {
      if (!isTaken) socket.destroy()
    }
  }
}

/** An IP address must not be a server name (RFC 6066 §3). */
function serverNameOf({ hostname }: URL): { readonly servername?: string } {
  return familyOf(hostname.replace(/^\[|\]$/g, '')) === undefined ? { servername: hostname } : {}
}
