import {
  createTraversal,
  type EndpointOwners,
  type PolicyOptions,
  type Report,
  type Store,
  systemHost,
  type Traversal,
  type TraversalEvents,
  type TypedEvents
} from '@postern/core'
import { type CallOptions, checkOptions, errorText, type Host, type Network, printable, type Strategy } from '@postern/interface'
import { doubtBeyondFirstHop, findNetwork, watchNetwork } from '@postern/net'
import { checkServer, type ExposableServer, endpointsOf, isListening, listening } from './endpoints.js'
import { fileStore } from './file-store.js'
import { endpointOwners } from './endpoint-owners.js'
import { defaultStrategies, parseLadder } from './ladder.js'
import { announceable, type ExternalEndpoint, externalEndpoints } from './external-endpoints.js'
import { lendTo } from './lend.js'
import { closeOnSignals } from './signals.js'

export interface ExposeOptions {
  /** The strategies in rank order, as such or as text (`'pcp,upnp'`, `'any,manual:203.0.113.7:8080'`).
   * @default PCP, NAT-PMP, UPnP */
  readonly strategies?: readonly Strategy[] | string
  /** What is remembered across runs, so that a run that was killed takes its own mapping back.
   * @default a file of this program's in `$XDG_STATE_HOME/postern` */
  readonly store?: Store
  /** The programs of this host that may have the same port mapped: they share one mapping, and the last one deletes it.
   * @default all programs of this user, by files in `$XDG_STATE_HOME/postern/endpoints` */
  readonly owners?: EndpointOwners
  /** Replaces parts of the default policy.
   * @default the default policy */
  readonly policy?: PolicyOptions
  /** Aborted when the server need not be reachable any more: as `close()`.
   * @default never */
  readonly signal?: AbortSignal
  /** The external port to ask for first. The only way to ask for one below 1024.
   * @default the server's own port */
  readonly externalPort?: number
  /** Release the mappings when the process is told to end (SIGINT, SIGTERM, SIGHUP), then let it end.
   * @default false */
  readonly releaseOnExit?: boolean
  /** Listeners that hear what happens before `expose` resolves, too.
   * @default none */
  readonly on?: Listeners
  /** Clock, randomness and log.
   * @default the machine's, and no log */
  readonly host?: Host
  /** How the network is looked at.
   * @default this machine's own routes and interfaces */
  readonly findNetwork?: (call: { readonly signal: AbortSignal }) => Promise<Network>
}

export type Listeners = {
  readonly [Name in keyof TraversalEvents]?: (event: TraversalEvents[Name]) => void
}

export interface Exposure extends TypedEvents<TraversalEvents> {
  /** The external addresses to announce at this moment, as multiaddr text. While the verdict is `private`, what is doubted is left
   * out: `report().externalAddresses` has it. */
  readonly addresses: readonly string[]
  /** The same addresses as host and port, with a URL where the server is one of `node:http` or `node:https`. */
  readonly endpoints: readonly ExternalEndpoint[]
  report(): Report
  /** Gives back every mapping. The server stays open. Resolves when nothing of it runs any more. Twice is once. */
  close(): Promise<void>
  /** As `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** However long the network, the store and the strategies take, the caller does not wait longer, in ms. */
const patienceMs = 5000

/**
 * Makes a server reachable from outside, and keeps it so.
 *
 * Resolves after the first pass over the strategies, at most 5 s later, whatever came of it: `report()` tells. A server that
 * does not listen by then, or that cannot, is exposed when it does. Ends when the server closes, the signal aborts, or
 * `close()` is called. Throws a TypeError for arguments that cannot be right, and nothing else.
 */
export async function expose(server: ExposableServer, options: ExposeOptions = {}): Promise<Exposure> {
  checkServer(server)
  checkExposeOptions(options)
  const { policy, externalPort, releaseOnExit = false, host = systemHost, findNetwork: find = findNetwork } = options
  const strategies = readStrategies(options.strategies)
  const ownStore = options.store === undefined ? fileStore() : undefined
  const store = options.store === undefined ? ownStore : options.store
  const ended = new AbortController()
  const traversal = createTraversal({
    strategies,
    host,
    doubt: doubtBeyondFirstHop(host.clock),
    owners: options.owners ?? endpointOwners(),
    ...(store === undefined ? {} : { store }),
    ...(policy === undefined ? {} : { policy })
  })
  attach(traversal, options.on ?? {})
  let watching: Promise<void> | undefined
  /** Why nothing can be exposed yet. */
  let trouble: string | undefined = 'The server does not listen yet: it is exposed once it does.'
  const exposure = handle(
    traversal,
    server,
    () => trouble,
    async () => {
      ended.abort()
      await watching
      await traversal.stop()
      await ownStore?.close()
    }
  )
  // Nothing awaits this close: what it rejects with is for the callers of `close()`.
  const end = (): void => {
    exposure.close().catch((error: unknown) => host.log.info(`it was not closed in good order: ${String(error)}`))
  }
  if (options.signal?.aborted === true) return exposure
  // The caller's signal may live as long as the process, and serve many exposures.
  options.signal?.addEventListener('abort', end, { once: true, signal: ended.signal })

  const over = new AbortController()
  const limit = host.clock.sleep(patienceMs, over).catch(() => undefined)
  const cannotListen = Promise.withResolvers<void>()

  async function begin(): Promise<void> {
    await listening(server, ended, (error) => {
      trouble = `The server cannot listen: ${printable(String(error))}.`
      cannotListen.resolve()
    })
    if (ended.signal.aborted) return
    const endpoints = await endpointsOf(server)
    if (ended.signal.aborted) return
    // It was closed meanwhile.
    if (!isListening(server)) return end()
    trouble = undefined
    for (const endpoint of endpoints) traversal.want(endpoint, externalPort === undefined ? {} : { externalPort })
    const serverClosed = (): void => {
      trouble = 'The server has closed, and its mappings are given back: call expose() again once it listens again.'
      end()
    }
    server.once('close', serverClosed)
    ended.signal.addEventListener('abort', () => server.off('close', serverClosed))

    const known = Promise.withResolvers<void>()
    let where: Network = { gateways: [], addresses: [] }
    lendTo(traversal, server, endpoints, () => where, ended)
    const changed = (network: Network): void => {
      where = network
      traversal.networkIs(network)
      known.resolve()
    }
    watching = watchNetwork({ clock: host.clock, changed, find }, ended)
    // A platform that cannot tell its routes still has its own addresses, and named gateways.
    const late = new AbortController()
    await Promise.race([known.promise, host.clock.sleep(patienceMs, late).catch(() => undefined), aborted(ended)])
    late.abort()
    if (ended.signal.aborted) return
    await traversal.start()
    await traversal.firstPass()
  }

  if (releaseOnExit) closeOnSignals(() => exposure.close(), ended.signal)
  const begun = begin()
  try {
    await Promise.race([begun, limit, cannotListen.promise])
  } catch (error) {
    await exposure.close()
    throw error
  } finally {
    over.abort()
  }
  begun.catch((error: unknown) => {
    trouble = `${printable(errorText(error))}.`
    host.log.info(`nothing is exposed: ${trouble}`)
  })
  return exposure
}

const aborted = ({ signal }: CallOptions): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

function handle(
  traversal: Traversal,
  server: ExposableServer,
  trouble: () => string | undefined,
  stop: () => Promise<void>
): Exposure {
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= stop())
  return {
    addEventListener: traversal.addEventListener,
    removeEventListener: traversal.removeEventListener,
    get addresses() {
      return announceable(traversal.report())
    },
    get endpoints() {
      return externalEndpoints(announceable(traversal.report()), server)
    },
    report() {
      const text = trouble()
      return text === undefined ? traversal.report() : { ...traversal.report(), advice: [text] }
    },
    close,
    [Symbol.asyncDispose]: close
  }
}

function attach(traversal: Traversal, listeners: Listeners): void {
  const { mapped, renewed, changed, lost, verified, refuted, failed, released, shared } = listeners
  const outcomes = { mapped, renewed, changed, lost, verified, refuted, failed, released, shared }
  const names = ['mapped', 'renewed', 'changed', 'lost', 'verified', 'refuted', 'failed', 'released', 'shared'] as const
  for (const name of names) {
    const listener = outcomes[name]
    if (listener !== undefined) traversal.addEventListener(name, listener)
  }
  const { strategy, verdict, upgrade } = listeners
  if (strategy !== undefined) traversal.addEventListener('strategy', strategy)
  if (verdict !== undefined) traversal.addEventListener('verdict', verdict)
  if (upgrade !== undefined) traversal.addEventListener('upgrade', upgrade)
}

function checkExposeOptions(options: ExposeOptions): void {
  checkOptions('expose()', options, {
    strategies: 'any',
    store: 'any',
    policy: 'object',
    signal: 'signal',
    externalPort: 'any',
    releaseOnExit: 'boolean',
    on: 'object',
    host: 'object',
    owners: 'object',
    findNetwork: 'function'
  })
  const { externalPort } = options
  if (externalPort !== undefined && !(Number.isInteger(externalPort) && externalPort > 0 && externalPort < 65_536)) {
    throw new TypeError(`externalPort is not in 1…65535: ${externalPort}`)
  }
  if (typeof options.store === 'string') {
    throw new TypeError(`store is a text: pass fileStore({ path: ${JSON.stringify(options.store)} })`)
  }
  checkOptions<Listeners>("expose()'s on", options.on ?? {}, {
    mapped: 'function',
    renewed: 'function',
    changed: 'function',
    lost: 'function',
    verified: 'function',
    refuted: 'function',
    failed: 'function',
    released: 'function',
    shared: 'function',
    strategy: 'function',
    verdict: 'function',
    upgrade: 'function'
  })
}

function readStrategies(strategies: ExposeOptions['strategies']): readonly Strategy[] {
  if (strategies === undefined) return defaultStrategies()
  const isText =
    Array.isArray(strategies) && strategies.length > 0 && strategies.every((each) => typeof each === 'string')
  if (isText) throw new TypeError(`strategies is an array of text: pass one text, '${strategies.join()}'`)
  return typeof strategies === 'string' ? parseLadder(strategies) : strategies
}
