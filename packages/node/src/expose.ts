import {
  mappingEventNames,
  type Report,
  recordMetrics,
  systemHost,
  type Traversal,
  type TraversalEvents,
  type TypedEvents
} from '@postern/core'
import { type CarriedConnection, errorText, type Host, printable, systemClock, waitAtMost } from '@postern/interface'
import { withHandles } from '@postern/net'
import { runTraversal } from '@postern/runtime'
import { checkExposeOptions, type ExposeOptions, type Listeners, readStrategies } from './expose-options.js'
import { endpointOwners } from './owners/endpoint-owners.js'
import { type Arrivals, createArrivals, withArrivals } from './server/arrivals.js'
import { type Client, type Clients, createClients } from './server/clients.js'
import {
  checkServer,
  type ExposableServer,
  endpointsOf,
  isClosedForEver,
  isDatagram,
  isListening,
  listening
} from './server/endpoints.js'
import { announceable, type ExternalEndpoint, externalEndpoints } from './server/external-endpoints.js'
import { createOpenHandles, type OpenHandles } from './server/open-handles.js'
import { lendSocket } from './server/share-socket.js'
import { closeOnSignals } from './server/signals.js'
import { fileStore } from './store/file-store.js'

/** A server that is exposed. */
export interface Exposure extends TypedEvents<TraversalEvents> {
  /** The external addresses to announce now, as multiaddr text: those that witnesses have reached, and those that nothing
   * known contradicts. What is only claimed is in `report().candidates`. */
  readonly addresses: readonly string[]
  /** The same addresses as host and port, with a URL if the server is one of `node:http` or `node:https`. */
  readonly endpoints: readonly ExternalEndpoint[]
  /** Returns the current report: verdict, cause, advice, candidates and strategies. */
  report(): Report
  /** Returns whether a witness made this connection, and no user: it brings no bytes. Takes the socket of a `connection`,
   * `tlsClientError` or `clientError` event of the server. Witnesses may connect before `expose` has resolved. Always
   * false for datagrams: `isStunMessage` of `@postern/stun` recognizes those of a witness. */
  isWitness(socket: object): boolean
  /** Returns the client of a connection to the server: its own address where the connection is direct, and what the
   * forwarder tells of it where one carries the connection. Takes the socket of a `connection` event, or `req.socket` of an
   * HTTP request. Undefined for a socket that has closed. */
  clientOf(socket: object): Client | undefined
  /** Releases every mapping. The server stays open. Resolves when the exposure has stopped completely. Idempotent. */
  close(): Promise<void>
  /** Lets the process end although the server is exposed, as `server.unref()` does for the server. Also applies to
   * sockets and timers that are opened later. If the program ends by itself, `releaseOnExit` releases the mappings;
   * without it they expire, and the next run reuses them. Idempotent. */
  unref(): Exposure
  /** Undoes `unref()`: the process stays alive until `close()`, which is the default. Idempotent. */
  ref(): Exposure
  /** Like `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The maximum time until `expose` resolves, in ms, however long the network, the store and the strategies take. */
const patienceMs = 5000

/**
 * Makes a server reachable from outside, and keeps it reachable.
 *
 * Resolves after the first pass over the strategies, and after 5 s at most, whatever the result; see `report()`. A
 * server that does not listen by then is exposed when it does. The exposure ends when the server closes, when the
 * signal aborts, or with `close()`. Rejects only with a TypeError, for invalid arguments.
 */
export async function expose(server: ExposableServer, options: ExposeOptions = {}): Promise<Exposure> {
  checkServer(server)
  checkExposeOptions(options)
  const { policy, externalPort, releaseOnExit = false, findNetwork } = options
  const handles = createOpenHandles()
  const arrivals = createArrivals(server)
  const ended = new AbortController()
  const clients = createClients(server, ended)
  const plainHost = options.host ?? systemHost
  const { carried } = plainHost
  const host = {
    ...withArrivals(withClock(plainHost, handles), arrivals),
    carried(connection: CarriedConnection) {
      clients.carried(connection)
      carried?.(connection)
    }
  }
  const strategies = readStrategies(options.strategies)
  const ownStore = options.store === undefined ? fileStore() : undefined
  const store = options.store === undefined ? ownStore : options.store
  const run = runTraversal({
    strategies,
    host,
    owners: options.owners ?? endpointOwners(),
    socket: !isDatagram(server),
    ...(findNetwork === undefined ? {} : { findNetwork }),
    ...(store === undefined ? {} : { store }),
    ...(policy === undefined ? {} : { policy })
  })
  const { traversal } = run
  attach(traversal, options.on ?? {})
  const recording = options.metrics === undefined ? undefined : recordMetrics(traversal, options.metrics)
  /** Why nothing can be exposed yet, or any more; undefined if the network may be the reason. */
  let trouble: string | undefined = 'The server does not listen yet: it is exposed once it does.'
  let hasServerClosed = false
  const exposure = handle(
    traversal,
    server,
    () => trouble ?? networkTrouble(run.networkError()),
    handles,
    { ...arrivals, ...clients },
    async () => {
      if (!hasServerClosed) trouble = 'This exposure is closed, and its mappings are given back: call expose() again.'
      ended.abort()
      await run.stop()
      recording?.stop()
      await ownStore?.close()
    }
  )
  // This call is not awaited. Callers of `close()` get the rejection; here it is logged.
  const end = (): void => {
    exposure.close().catch((error: unknown) => host.log.info(`closing the exposure failed: ${String(error)}`))
  }
  if (options.signal?.aborted === true) {
    end()
    return exposure
  }
  // Remove the listener at the end: the caller's signal may live as long as the process, and serve many exposures.
  options.signal?.addEventListener('abort', end, { once: true, signal: ended.signal })

  const cannotListen = Promise.withResolvers<void>()

  const serverClosed = (): void => {
    hasServerClosed = true
    trouble = isDatagram(server)
      ? 'The socket has closed, and its mappings are given back: call expose() with another one.'
      : 'The server has closed, and its mappings are given back: call expose() again once it listens again.'
    end()
  }

  async function begin(): Promise<void> {
    if (isClosedForEver(server)) return serverClosed()
    await listening(server, ended, (error) => {
      trouble = `The server cannot listen: ${printable(String(error))}.`
      cannotListen.resolve()
    })
    if (ended.signal.aborted) return
    // A server that was closed right after listen() still emits `listening`.
    if (!isListening(server)) return serverClosed()
    const endpoints = await endpointsOf(server)
    if (ended.signal.aborted) return
    if (!isListening(server)) return serverClosed()
    trouble = undefined
    for (const endpoint of endpoints)
      traversal.addEndpoint(endpoint, externalPort === undefined ? {} : { externalPort })
    server.once('close', serverClosed)
    ended.signal.addEventListener('abort', () => server.off('close', serverClosed))

    if (isDatagram(server)) lendSocket(traversal, server, endpoints, run.network, ended)
    await run.ready()
  }

  if (releaseOnExit) closeOnSignals(() => exposure.close(), ended.signal)
  const begun = withHandles(handles, begin)
  try {
    await waitAtMost(host.clock, patienceMs, Promise.race([begun, cannotListen.promise]), undefined)
  } catch (error) {
    await exposure.close()
    throw error
  }
  begun.catch((error: unknown) => {
    if (ended.signal.aborted) return
    trouble = `${printable(errorText(error))}.`
    host.log.info(`nothing is exposed: ${trouble}`)
  })
  return exposure
}

const networkTrouble = (error: unknown): string | undefined =>
  error === undefined ? undefined : `The network of this machine is not known: ${printable(errorText(error))}.`

function handle(
  traversal: Traversal,
  server: ExposableServer,
  trouble: () => string | undefined,
  handles: OpenHandles,
  { isWitness, clientOf }: Pick<Arrivals, 'isWitness'> & Pick<Clients, 'clientOf'>,
  stop: () => Promise<void>
): Exposure {
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    if (closed === undefined) {
      // Keep the process alive until the mappings are released.
      handles.ref()
      closed = withHandles(handles, stop)
    }
    return closed
  }
  const exposure: Exposure = {
    addEventListener: traversal.addEventListener,
    removeEventListener: traversal.removeEventListener,
    get addresses() {
      return announceable(traversal.report())
    },
    get endpoints() {
      return externalEndpoints(traversal.report(), server)
    },
    report() {
      const text = trouble()
      return text === undefined ? traversal.report() : { ...traversal.report(), advice: [text] }
    },
    isWitness,
    clientOf,
    unref() {
      if (closed === undefined) handles.unref()
      return exposure
    },
    ref() {
      handles.ref()
      return exposure
    },
    close,
    [Symbol.asyncDispose]: close
  }
  return exposure
}

/** Replaces the system clock of a host by one with timers that `unref()` reaches. A clock of the caller stays: its
 * timers are the caller's responsibility. */
const withClock = (host: Host, { clock }: OpenHandles): Host => (host.clock === systemClock ? { ...host, clock } : host)

function attach(traversal: Traversal, listeners: Listeners): void {
  for (const name of mappingEventNames) {
    const listener = listeners[name]
    if (listener !== undefined) traversal.addEventListener(name, listener)
  }
  const { strategy, verdict, upgrade, request, lease } = listeners
  if (strategy !== undefined) traversal.addEventListener('strategy', strategy)
  if (verdict !== undefined) traversal.addEventListener('verdict', verdict)
  if (upgrade !== undefined) traversal.addEventListener('upgrade', upgrade)
  if (request !== undefined) traversal.addEventListener('request', request)
  if (lease !== undefined) traversal.addEventListener('lease', lease)
}
