import type { Socket } from 'node:dgram'
import { errorMonitor } from 'node:events'
import type { Server } from 'node:net'
import { type CallOptions, classOf, type Endpoint, familyOf, printable } from '@postern/interface'
import { hasCode } from '../files/files.js'
import { takesIpv4 } from './takes-ipv4.js'

/** A Node.js object that listens on a port: `net.Server` and its subclasses (`http`, `https`, `tls`), or
 * `dgram.Socket`. */
export type ExposableServer = Server | Socket

/** Resolves to the endpoints of a server. An IPv6 server on `::` also accepts IPv4, and so has two endpoints, unless it
 * was opened with `ipv6Only`.
 *
 * Rejects with a TypeError for a server on a pipe. */
export async function endpointsOf(server: ExposableServer): Promise<readonly Endpoint[]> {
  const protocol = isDatagram(server) ? 'udp' : 'tcp'
  const bound = server.address()
  if (bound === null || typeof bound === 'string') {
    const where = bound === null ? 'nothing' : `a pipe, ${printable(bound)}`
    throw new TypeError(`the server listens on ${where}, and not on a port: call listen(8080), for example`)
  }
  const { address, port } = bound
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`the server listens on ${address}, which is not an IP address`)
  const endpoint: Endpoint = { protocol, family, address, port }
  if (family !== 6 || classOf(address) !== 'unspecified' || !(await takesIpv4(protocol, port))) return [endpoint]
  return [{ protocol, family: 4, address: '0.0.0.0', port }, endpoint]
}

/** Returns whether a server is a `dgram.Socket`. */
export const isDatagram = (server: ExposableServer): server is Socket => 'bind' in server && 'addMembership' in server

/** Returns whether a server is a closed datagram socket, which, unlike a server, can never listen again. */
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

/** Throws a TypeError for anything but a Node.js server. A connected TCP socket, which also has an address, is not
 * one. */
export function checkServer(server: unknown): asserts server is ExposableServer {
  const has = (...names: readonly string[]): boolean =>
    typeof server === 'object' &&
    server !== null &&
    names.every((name) => typeof Reflect.get(server, name) === 'function')
  if (has('address', 'on', 'once', 'off') && (has('listen') || has('bind', 'addMembership'))) return
  // The servers of Bun.serve(), Bun.listen(), Deno.serve(), Deno.listen() and their UDP counterparts emit no events.
  if (!has('on') && (has('stop') || has('shutdown') || has('accept') || has('receive') || has('sendMany'))) {
    throw new TypeError(
      'expose() takes a server of node:http, node:https, node:net or node:dgram, which Bun and Deno support too, but not one of Bun.serve() or Deno.serve(): see docs/guides/bun-and-deno.md'
    )
  }
  throw new TypeError(
    `expose() takes a net.Server, http.Server, https.Server or dgram.Socket, such as the one that listen() of a framework returns${insteadOf(server)}`
  )
}

/** Returns what to do with something that is not a server; an empty text if there is nothing to say. */
function insteadOf(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'string')
    return `; pass the server itself, or run \`postern map ${printable(String(value)).slice(0, 20)}\` for a program that has none`
  if (typeof Object(value).then === 'function') return ', and not a promise of it: await it first'
  if (typeof value === 'function') return ', and not a function: pass what its listen() returns'
  return ''
}

/**
 * Resolves when the server listens, when a datagram socket closes, or when the signal aborts. A server that cannot
 * listen may try again, so its errors go to `failed` and the wait continues. An error that the program does not handle
 * stays unhandled.
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
    // A closed socket can never be bound again; a server may listen again.
    if (isDatagram(server)) server.once('close', done)
    emitter.on(errorMonitor, failed)
    signal.addEventListener('abort', done, { once: true })
  })
}

/** Returns whether a server listens now. */
export function isListening(server: ExposableServer): boolean {
  if (!isDatagram(server)) return server.listening
  try {
    server.address()
    return true
  } catch {
    // dgram throws before the socket is bound, and after it is closed.
    return false
  }
}
