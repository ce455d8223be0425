import type { Socket } from 'node:dgram'
import { errorMonitor } from 'node:events'
import type { Server } from 'node:net'
import { type CallOptions, classOf, type Endpoint, familyOf } from '@postern/interface'
import { hasCode } from './files.js'
import { takesIpv4 } from './takes-ipv4.js'

/** Anything of Node's that listens on a port: `net.Server` with all that inherits from it (`http`, `https`, `tls`), and
 * `dgram.Socket`. */
export type ExposableServer = Server | Socket

/** Resolves with where a server listens. An IPv6 server on `::` takes IPv4 connections too, unless it was told not to
 * (`ipv6Only`): then it is one endpoint, else two.
 *
 * Rejects with a TypeError for a server on a pipe. */
export async function endpointsOf(server: ExposableServer): Promise<readonly Endpoint[]> {
  const protocol = isDatagram(server) ? 'udp' : 'tcp'
  const bound = server.address()
  if (bound === null || typeof bound === 'string') {
    throw new TypeError(`the server listens on ${bound === null ? 'nothing' : 'a pipe'}, not on a port`)
  }
  const { address, port } = bound
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`the server listens on ${address}, which is no IP address`)
  const endpoint: Endpoint = { protocol, family, address, port }
  if (family !== 6 || classOf(address) !== 'unspecified' || !(await takesIpv4(protocol, port))) return [endpoint]
  return [{ protocol, family: 4, address: '0.0.0.0', port }, endpoint]
}

export const isDatagram = (server: ExposableServer): server is Socket => 'bind' in server && 'addMembership' in server

/** Returns whether a datagram socket is closed: unlike a server, it never listens again. */
export function isClosedForEver(server: ExposableServer): boolean {
  if (!isDatagram(server)) return false
  try {
    server.address()
    return false
  } catch (error) {
    // A socket that is not bound yet fails with the system's EBADF.
    return hasCode(error, 'ERR_SOCKET_DGRAM_NOT_RUNNING')
  }
}

/** Throws a TypeError for what is no server of Node's: a socket that is connected has an address, too. */
export function checkServer(server: unknown): asserts server is ExposableServer {
  const has = (...names: readonly string[]): boolean =>
    typeof server === 'object' &&
    server !== null &&
    names.every((name) => typeof Reflect.get(server, name) === 'function')
  if (has('address', 'on', 'once', 'off') && (has('listen') || has('bind', 'addMembership'))) return
  // Those that Bun.serve(), Bun.listen(), Deno.serve(), Deno.listen() and their like for UDP return emit no events.
  if (!has('on') && (has('stop') || has('shutdown') || has('accept') || has('receive') || has('sendMany'))) {
    throw new TypeError(
      'expose() takes a server of node:http, node:https, node:net or node:dgram, which Bun and Deno have too, and no Bun.serve() or Deno.serve(): see docs/bun-and-deno.md'
    )
  }
  throw new TypeError(
    'expose() takes a net.Server, http.Server, https.Server or dgram.Socket: what listen() of a framework gives, for example'
  )
}

/**
 * Resolves once the server listens, when a datagram socket closes, or when the signal aborts. A server that cannot listen may try again, so its error is
 * told and waiting goes on; the error stays unhandled if the program does not handle it.
 */
export function listening(
  server: ExposableServer,
  { signal }: CallOptions,
  failed: (error: unknown) => void
): Promise<void> {
  const emitter: NodeJS.EventEmitter = server
  return new Promise((resolve) => {
    if (isListening(server) || signal.aborted) return resolve()
    const done = (): void => {
      server.off('listening', done)
      server.off('close', done)
      emitter.off(errorMonitor, failed)
      signal.removeEventListener('abort', done)
      resolve()
    }
    server.once('listening', done)
    // A socket that closes is never bound again; a server may listen again.
    if (isDatagram(server)) server.once('close', done)
    emitter.on(errorMonitor, failed)
    signal.addEventListener('abort', done, { once: true })
  })
}

export function isListening(server: ExposableServer): boolean {
  if (!isDatagram(server)) return server.listening
  try {
    server.address()
    return true
  } catch {
    // dgram throws until the socket is bound, and when it is closed.
    return false
  }
}
