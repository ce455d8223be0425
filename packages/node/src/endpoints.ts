import type { Socket } from 'node:dgram'
import type { Server } from 'node:net'
import { classOf, type Endpoint, familyOf } from '@postern/interface'

/** Anything of Node's that listens on a port: `net.Server` with all that inherits from it (`http`, `https`, `tls`), and
 * `dgram.Socket`. */
export type ExposableServer = Server | Socket

/** Where a server listens. A wildcard IPv6 server takes IPv4 connections too, so it is two endpoints.
 *
 * Throws a TypeError for a server on a pipe. */
export function endpointsOf(server: ExposableServer): readonly Endpoint[] {
  const protocol = isDatagram(server) ? 'udp' : 'tcp'
  const bound = server.address()
  if (bound === null || typeof bound === 'string') {
    throw new TypeError(`the server listens on ${bound === null ? 'nothing' : 'a pipe'}, not on a port`)
  }
  const { address, port } = bound
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`the server listens on ${address}, which is no IP address`)
  const endpoint: Endpoint = { protocol, family, address, port }
  if (address !== '::' || classOf(address) !== 'unspecified') return [endpoint]
  return [{ protocol, family: 4, address: '0.0.0.0', port }, endpoint]
}

export const isDatagram = (server: ExposableServer): server is Socket => 'bind' in server && 'addMembership' in server

/** Throws a TypeError for what is no server of Node's. */
export function checkServer(server: unknown): asserts server is ExposableServer {
  const usable =
    typeof server === 'object' &&
    server !== null &&
    'address' in server &&
    typeof server.address === 'function' &&
    'on' in server
  if (!usable) throw new TypeError('expose() takes a net.Server, http.Server, https.Server or dgram.Socket')
}

/** Resolves once the server listens, or when the signal aborts. */
export function listening(server: ExposableServer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (isListening(server) || signal.aborted) return resolve()
    const done = (): void => {
      server.off('listening', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    server.once('listening', done)
    signal.addEventListener('abort', done, { once: true })
  })
}

function isListening(server: ExposableServer): boolean {
  if (!isDatagram(server)) return server.listening
  try {
    server.address()
    return true
  } catch {
    // dgram throws until the socket is bound.
    return false
  }
}
