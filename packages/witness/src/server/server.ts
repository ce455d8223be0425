import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { abortReason, anySignal, type Clock, canonicalAddress, familyOf } from '@postern/interface'
import {
  decodeRequest,
  maxRequestBytes,
  type RefusalName,
  refusals,
  type VerifyReply,
  type VerifyRequest
} from '../wire/messages.js'
import { createClients } from './clients.js'
import { type Attempt, connectOnce } from './connect.js'
import { answer, asksForAddress, type Refused, readBody, whyNotRead } from './http.js'
import { createDialLimits, type LimitRefusal } from './limits.js'
import { readServerOptions, type WitnessServerOptions } from './options.js'
import { createRequesters } from './requester.js'
import { sendIndications } from './send.js'

/** Counters of a witness server since it was created. */
export interface WitnessServerCounters {
  /** Requests that were read, valid or not. */
  requests: number
  /** Connections that the server tried to make, and series of datagrams. */
  dials: number
  /** Replies about a TCP connection that was established, or about datagrams that were sent. */
  reached: number
  /** Replies about an address that refused, did not answer or has no route. */
  unreached: number
}

/** A witness server. */
export interface WitnessServer {
  /** Listens on a TCP port, a free one for 0. Resolves to the address and port. Rejects with the error of the system if
   * the port is taken, and with a TypeError for an invalid port or after `close()`. May be called for several addresses. A
   * listener on `::` takes IPv4, too, without `ipv6Only`. */
  listen(
    port: number,
    host?: string,
    options?: { readonly ipv6Only?: boolean }
  ): Promise<Pick<AddressInfo, 'address' | 'port'>>
  /** Closes all ports and connections. Nothing runs after it has resolved. Idempotent. */
  close(): Promise<void>
  /** Like `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
  /** The counters since the server was created. */
  readonly counters: Readonly<WitnessServerCounters>
  /** How many requests were refused, by their reason. */
  readonly refused: Readonly<Partial<Record<RefusalName, number>>>
  /** How many requests each limit refused; see {@link LimitRefusal} for the names. */
  readonly limited: Readonly<Partial<Record<LimitRefusal, number>>>
  /** How many connections of clients were closed for lack of a place. */
  readonly closedConnections: number
  /** The number of open connections of clients. */
  readonly connections: number
  /** The number of connections to clients' addresses that are being made or are not closed yet. */
  readonly dialling: number
}

/** How long a request may take to arrive, and how long a connection stays open between requests, in milliseconds. */
const requestMs = 5000
const maxHeaderBytes = 8192
const maxHeaders = 64
/** How long the addresses of this machine are taken for the same, in milliseconds. */
const ownAddressesMs = 5000
/** After how many seconds a client that reached a limit may ask again. */
const retrySeconds = 60

const untold: Refused = { error: 'malformed', message: 'the proxy does not tell the address of the client' }

const stopped = abortReason('the witness server stops')
const left = abortReason('the client has closed its connection')

/**
 * Creates a witness server. When a client asks for it, the server connects to the address that the request comes from,
 * and to no other, and tells from which address and port it connected.
 *
 * Throws a TypeError for an invalid option. Does nothing until `listen` is called.
 */
export function createWitnessServer(options: WitnessServerOptions = {}): WitnessServer {
  const settings = readServerOptions(options)
  const { mayDial, mayDialPort, dialTimeoutMs, announce, hostAddresses, clock } = settings
  const requesters = createRequesters(settings.trustProxy)
  const limits = createDialLimits(settings)
  const clients = createClients(settings.maxConnections, requesters)
  const counters: WitnessServerCounters = { requests: 0, dials: 0, reached: 0, unreached: 0 }
  const refused: Partial<Record<RefusalName, number>> = {}
  const limited: Partial<Record<LimitRefusal, number>> = {}
  const servers = new Set<ReturnType<typeof createServer>>()
  const working = new Set<Promise<unknown>>()
  const stopping = new AbortController()

  const ownAddresses = cached(clock, () => hostAddresses().map((each) => canonicalAddress(each) ?? each))

  function track(work: Promise<unknown>): void {
    const kept: Promise<unknown> = work.finally(() => working.delete(kept))
    working.add(kept)
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    counters.requests += 1
    const address = requesters.addressOf(request)
    const limit = address === undefined ? undefined : limits.read(address)
    if (limit !== undefined) return refuse(request, response, busy(limit))
    const early = whyNotRead(request) ?? (address === undefined ? untold : undefined)
    if (early !== undefined || address === undefined) return refuse(request, response, early ?? untold)
    if (asksForAddress(request)) {
      request.resume()
      return answer(response, 200, { address })
    }
    const body = await readBody(request)
    if (body === 'gone') return
    if (body === 'too-large')
      return refuse(request, response, { error: body, message: `a request has at most ${maxRequestBytes} bytes` })
    const asked = decodeRequest(body)
    if (asked === undefined)
      return refuse(request, response, { error: 'malformed', message: 'see docs/reference/witness-protocol.md' })
    const outcome = await verify(asked, address, request, response)
    if ('error' in outcome) refuse(request, response, outcome)
    else answer(response, 200, outcome)
  }

  async function verify(
    { protocol, address, port, nonce, holdMs }: VerifyRequest,
    observed: string,
    request: IncomingMessage,
    response: ServerResponse
  ): Promise<VerifyReply | Refused> {
    if (observed !== address)
      return { error: 'address-differs', message: 'only the address that a request comes from is dialled', observed }
    const own = ownAddresses()
    if (!mayDial(address) || own.includes(address) || announce.includes(address))
      return { error: 'address-not-allowed', message: 'such an address is not dialled' }
    if (!mayDialPort(port)) return { error: 'port-not-allowed', message: 'such a port is not dialled' }
    const place = limits.take(address)
    if (typeof place === 'string') return busy(place)
    counters.dials += 1
    const localAddress = localAddressOf(request, own)
    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(left)
    })
    const call = { signal: anySignal([stopping.signal, gone.signal]) }
    const attempt: Attempt =
      protocol === 'tcp'
        ? connectOnce({ address, port, localAddress, holdMs, timeoutMs: dialTimeoutMs, clock }, call)
        : sendIndications({ address, port, localAddress, nonce, clock }, call)
    track(attempt.closed.then(place))
    const outcome = await attempt.connected
    if (outcome.outcome === 'failed') return { error: 'failed', message: 'this machine cannot connect at the moment' }
    if (!('from' in outcome)) {
      counters.unreached += 1
      return { outcome: outcome.outcome, address, port }
    }
    counters.reached += 1
    const external = announce.find((each) => familyOf(each) === familyOf(address))
    return { ...outcome, address, port, from: { ...outcome.from, ...(external && { address: external }) } }
  }

  /** Returns the address to connect from: the one that the client has asked, if this machine has several. */
  function localAddressOf({ socket }: IncomingMessage, own: readonly string[]): string | undefined {
    const local = canonicalAddress(socket.localAddress ?? '')
    const remote = canonicalAddress(socket.remoteAddress ?? '')
    if (local === undefined || remote === undefined || requesters.isProxy(remote)) return undefined
    const same = own.filter((each) => familyOf(each) === familyOf(local) && mayDial(each))
    return same.length === 1 && same[0] === local ? undefined : local
  }

  function busy(limit: LimitRefusal): Refused {
    limited[limit] = (limited[limit] ?? 0) + 1
    return { error: 'busy', message: `a limit is reached: ${limit}` }
  }

  function refuse(request: IncomingMessage, response: ServerResponse, { error, ...rest }: Refused): void {
    refused[error] = (refused[error] ?? 0) + 1
    // What is left of the request is not read.
    const headers = { connection: 'close', ...(error === 'busy' ? { 'retry-after': retrySeconds } : {}) }
    request.resume()
    answer(response, refusals[error], { error, ...rest }, headers)
  }

  const listen: WitnessServer['listen'] = async (port, host, { ipv6Only = false } = {}) => {
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new TypeError(`listen(): port has to be an integer from 0 to 65535, not ${String(port)}`)
    mustBeOpen()
    const handle = (request: IncomingMessage, response: ServerResponse): void =>
      track(serve(request, response).catch(() => void response.destroy()))
    const server = createServer(
      {
        maxHeaderSize: maxHeaderBytes,
        headersTimeout: requestMs,
        requestTimeout: requestMs,
        keepAliveTimeout: requestMs,
        connectionsCheckingInterval: 1000
      },
      handle
    )
    // Node answers an unknown `Expect` by itself, with 417, and such requests would count for no limit.
    server.on('checkExpectation', handle)
    server.maxHeadersCount = maxHeaders
    server.on('connection', (socket: Socket) => clients.enter(socket))
    server.on('clientError', (_, socket) => void socket.destroy())
    server.listen({ port, ipv6Only, ...(host === undefined ? {} : { host }) })
    await once(server, 'listening')
    // close() may have been called meanwhile.
    if (stopping.signal.aborted) await endOf(server)
    mustBeOpen()
    servers.add(server)
    const bound = server.address()
    if (bound === null || typeof bound === 'string') throw new TypeError('a witness server listens on a TCP port')
    return { address: bound.address, port: bound.port }
  }

  function mustBeOpen(): void {
    if (stopping.signal.aborted) throw new TypeError('this witness server is closed: create another one')
  }

  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= end())

  async function end(): Promise<void> {
    stopping.abort(stopped)
    await Promise.all([...[...servers].map(endOf), ...working])
    servers.clear()
  }

  return {
    counters,
    refused,
    limited,
    get closedConnections() {
      return clients.closed
    },
    get connections() {
      return clients.open
    },
    get dialling() {
      return limits.used
    },
    listen,
    close,
    [Symbol.asyncDispose]: close
  }
}

/** Closes a server and its connections. Resolves when it has ended. */
async function endOf(server: ReturnType<typeof createServer>): Promise<void> {
  const ended = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await ended
}

/** Returns a function that calls `read` at most once in five seconds. */
function cached<T>(clock: Clock, read: () => T): () => T {
  let last: { readonly value: T; readonly atMs: number } | undefined
  return () => {
    const nowMs = clock.monotonicMs()
    if (last === undefined || nowMs - last.atMs >= ownAddressesMs) last = { value: read(), atMs: nowMs }
    return last.value
  }
}
