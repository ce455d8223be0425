import { createTraversal, systemHost, type Traversal, type TraversalOptions } from '@postern/core'
import {
  abortReason,
  type CallOptions,
  checkOptions,
  type Host,
  isNatError,
  type Network,
  waitAtMost
} from '@postern/interface'
import { checkFirstHop, findNetwork, openSharedSocket, watchNetwork } from '@postern/net'
import { publishDiagnostics } from './diagnostics.js'

/** What `runTraversal` takes. The options of a traversal, and how this machine takes part. */
export interface RunTraversalOptions<H extends Host = Host> extends TraversalOptions<H> {
  /** Checks an external IPv4 address from this side of the router.
   * @default sends datagrams that end at the first hop (`checkFirstHop` of `@postern/net`) */
  readonly checkExternalAddress?: NonNullable<TraversalOptions['checkExternalAddress']>
  /** The network of this host, for a caller that has found it already. The traversal starts in it at once, and it is
   * watched only if `findNetwork` is given too.
   * @default the network that `findNetwork` finds first */
  readonly network?: Network
  /** Finds the gateways and addresses of this host, at the start and then every 2 s. The default one is called only when
   * the network may have changed.
   * @default reads the routes and interfaces of this machine */
  readonly findNetwork?: (call: CallOptions) => Promise<Network>
  /** Called after the traversal has learned of a network: the first one that was found, and each change.
   * @default none */
  readonly changed?: (network: Network) => void
  /** How long `start` waits for the first network, in ms. It does not wait if the runtime does not permit to read it.
   * `Infinity` is no limit.
   * @default 5000 */
  readonly networkTimeoutMs?: number
  /** Whether observers may use a UDP socket on the default route. It is open only while they are asked.
   * @default true */
  readonly socket?: boolean
}

/** Like {@link RunTraversalOptions}, for strategies that need more than a plain host. */
export interface HostedRunOptions<H extends Host> extends RunTraversalOptions<H> {
  /** Clock, randomness and log, and what else the strategies need. */
  readonly host: H
}

/** A traversal that runs on this machine. It can be started again after it was stopped. */
export interface TraversalRun {
  /** The traversal: add endpoints to it, listen to its events, read its report. Do not start or stop it directly. */
  readonly traversal: Traversal
  /** Returns the network that was found last. It has no gateways and addresses before the first one is found. */
  network(): Network
  /** Returns the error of the last attempt to find the network; undefined if it has been found before. */
  networkError(): unknown
  /** Starts to watch the network before `start()`, which does so itself. Idempotent. */
  watch(): void
  /** Starts the traversal once the network is known or `networkTimeoutMs` are over. Resolves when it runs, or when it
   * was stopped before. Idempotent. */
  start(): Promise<void>
  /** Starts, and resolves after the first pass over the strategies. While the network is unknown there is no first
   * pass to wait for. */
  ready(): Promise<void>
  /** Stops watching the network, and lets the mappings expire. For a program that ends now. Idempotent. */
  unwatch(): Promise<void>
  /** Stops watching, and releases everything. Nothing runs after it has resolved. Idempotent. */
  stop(): Promise<void>
  /** Like `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Creates a traversal for this machine, and what it needs around it. Does nothing before `watch()` or `start()`.
 *
 * Throws a TypeError for invalid options.
 */
export function runTraversal(options: RunTraversalOptions): TraversalRun
export function runTraversal<H extends Host>(options: HostedRunOptions<H>): TraversalRun
export function runTraversal(options: RunTraversalOptions): TraversalRun {
  checkOptions<RunTraversalOptions>('runTraversal()', options, {
    strategies: 'any',
    host: 'any',
    store: 'any',
    owners: 'any',
    checkExternalAddress: 'function',
    policy: 'any',
    network: 'object',
    findNetwork: 'function',
    changed: 'function',
    networkTimeoutMs: 'number',
    socket: 'boolean'
  })
  const { network: given, findNetwork: find, changed, networkTimeoutMs = 5000, socket = true, ...rest } = options
  const { clock } = options.host ?? systemHost
  const traversal = createTraversal({
    ...rest,
    checkExternalAddress: rest.checkExternalAddress ?? checkFirstHop(clock)
  })
  publishDiagnostics(traversal)
  let network: Network = given ?? { gateways: [], addresses: [] }
  let isKnown = false
  let error: unknown
  let session: Session | undefined
  if (socket) traversal.shareSocket(openSharedSocket(() => network))

  function become(next: Network): void {
    network = next
    isKnown = true
    error = undefined
    traversal.setNetwork(next)
    changed?.(next)
  }

  function watch(): Session {
    session ??= createSession()
    const { controller, known } = session
    session.watching ??= watchNetwork(
      {
        clock,
        changed: (next) => {
          become(next)
          known.resolve()
        },
        failed: (failure) => {
          if (isKnown) return
          error = failure
          // The runtime will refuse at the next poll, too.
          if (isNatError(failure) && failure.code === 'NOT_PERMITTED') known.resolve()
        },
        // `watchNetwork()` polls this function at a lower cost than any other, so it is passed on as it is.
        find:
          find === undefined || find === findNetwork ? findNetwork : async (call) => checkedNetwork(await find(call))
      },
      controller
    )
    return session
  }

  /** Resolves when the network is known, the time is over, or the session ends. */
  function untilKnown({ known }: Session): Promise<void> {
    if (networkTimeoutMs === Infinity) return known.promise
    return waitAtMost(clock, networkTimeoutMs, known.promise, undefined)
  }

  async function startIn(known: Network, each: Session): Promise<void> {
    if (!isKnown) become(known)
    await traversal.start()
    if (find === undefined) return
    // The network was found a moment ago, and the first requests leave now.
    void clock.sleep(firstPollMs, each.controller).then(watch, () => undefined)
  }

  async function startWatched(each: Session): Promise<void> {
    watch()
    await untilKnown(each)
    if (!each.controller.signal.aborted) await traversal.start()
  }

  function start(): Promise<void> {
    const each = (session ??= createSession())
    each.starting ??= given === undefined ? startWatched(each) : startIn(given, each)
    return each.starting
  }

  /** Ends the watch. A start that waits for the network resolves. */
  function end(each: Session | undefined): Promise<void> {
    each?.controller.abort(ended)
    each?.known.resolve()
    return each?.watching ?? Promise.resolve()
  }

  async function stop(): Promise<void> {
    const ending = session
    session = undefined
    const watching = end(ending)
    const starting = ending?.starting?.catch(() => undefined)
    await Promise.all([traversal.stop(), watching, starting])
  }

  return {
    traversal,
    network: () => network,
    networkError: () => error,
    watch: () => void watch(),
    start,
    async ready() {
      await start()
      if (isKnown) await traversal.settled()
    },
    unwatch: () => end(session),
    stop,
    [Symbol.asyncDispose]: stop
  }
}

/** Throws a TypeError for a value of `findNetwork()` that cannot be a network. */
function checkedNetwork(network: Network): Network {
  const { gateways, addresses }: Partial<Network> = Object(network)
  if (Array.isArray(gateways) && Array.isArray(addresses)) return network
  throw new TypeError('findNetwork() resolved with no network: it has to have gateways and addresses, both arrays')
}

/** The delay of the first poll of a network that the caller has found before, in ms. */
const firstPollMs = 20

const ended = abortReason('this wait or watch has ended')

/** What runs from a start to the next stop. */
interface Session {
  readonly controller: AbortController
  /** Resolves when the network is known, cannot become known, or is not waited for any more. */
  readonly known: PromiseWithResolvers<void>
  watching: Promise<void> | undefined
  starting: Promise<void> | undefined
}

const createSession = (): Session => ({
  controller: new AbortController(),
  known: Promise.withResolvers(),
  watching: undefined,
  starting: undefined
})
