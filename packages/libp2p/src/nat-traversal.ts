import { type Connection, isPeerId, type PeerId, type Startable, serviceCapabilities } from '@libp2p/interface'
import { autonat } from '@postern/autonat'
import {
  type EndpointOwners,
  type MetricsRecording,
  type MetricsSink,
  type PolicyOptions,
  type Report,
  recordMetrics,
  type Store,
  systemClock,
  type TraversalEvents,
  type TypedEvents
} from '@postern/core'
import { holePunch } from '@postern/hole-punch'
import {
  type CallOptions,
  type Clock,
  checkOptions,
  errorText,
  type Network,
  natError,
  printable,
  type Strategy
} from '@postern/interface'
import { isDirect, isRelayed } from '@postern/libp2p-utils'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { relay } from '@postern/relay'
import { runTraversal, type TraversalRun } from '@postern/runtime'
import { upnp } from '@postern/upnp'
import { createAnnouncer } from './announcer.js'
import { announcingAdvice } from './announcing-advice.js'
import { datastoreStore } from './datastore.js'
import { createMoveDetector, endDeadConnections } from './dead-connections.js'
import { createHeadStart, type HeadStart } from './head-start.js'
import type { Libp2pComponents, Libp2pHost } from './host.js'
import { followListeners } from './listeners.js'
import { libp2pMetrics } from './metrics.js'
import { checkServices, ownTag, withoutIdentify } from './other-services.js'

/** Options of `natTraversal()`. */
export interface NatTraversalInit {
  /** The strategies in rank order.
   * @default PCP, NAT-PMP, UPnP, relay, AutoNAT, hole punching */
  readonly strategies?: readonly Strategy<Libp2pHost>[]
  /** Replaces parts of the default policy.
   * @default the default policy; relays are kept while a relayed connection is open */
  readonly policy?: PolicyOptions
  /** Stores mappings across runs, so that a node can take over its own mappings after a crash.
   * @default the node's datastore */
  readonly store?: Store
  /** The programs of this host that may map the same port. They share one mapping, and the last one deletes it.
   * `endpointOwners()` of `@postern/node` finds all programs of this user.
   * @default no other programs */
  readonly owners?: EndpointOwners
  /** Finds the gateways and addresses of this machine.
   * @default reads the routes and interfaces of this machine */
  readonly findNetwork?: (call: { readonly signal: AbortSignal }) => Promise<Network>
  /** Where the numbers of the service go: `openTelemetryMetrics(meter)` of `@postern/core`, or a sink of your own.
   * @default the metrics of the node, if it has any */
  readonly metrics?: MetricsSink
  /** The clock for timers and timeouts.
   * @default the clock of this machine */
  readonly clock?: Clock
}

/** The libp2p service, `node.services.nat`. Emits the events of a traversal. */
export interface NatTraversal extends TypedEvents<TraversalEvents> {
  /** Returns the current report: verdict, causes, advice, strategies, candidates and peers. */
  report(): Report
  /** Asks every gateway again about the mappings that it granted. */
  recheck(): void
  /** Resolves when everything that can be tried immediately has been tried, or when the node stops. */
  settled(): Promise<void>
  /**
   * Resolves with a direct connection to the peer: an existing one, or one that replaces a relayed connection. A peer
   * that is not connected is dialled first.
   *
   * Rejects with the NatError of the hole punch (SYMMETRIC_NAT, REFUSED, NO_REPLY, EXTERNAL_ADDRESS_UNKNOWN,
   * UNSUPPORTED, GRANT_INVALID, QUOTA_EXCEEDED or UNREACHABLE), with NO_SERVICE without a hole-punching strategy, with
   * libp2p's error if the peer cannot be dialled, with the signal's reason, or with a TypeError for wrong arguments.
   */
  direct(peer: PeerId, call: CallOptions): Promise<Connection>
}

/** Returns the default strategies of a libp2p node, in rank order. */
export const defaultStrategies = (): readonly Strategy<Libp2pHost>[] => [
  pcp(),
  natPmp(),
  upnp(),
  relay(),
  autonat(),
  holePunch()
]

/**
 * Makes a libp2p node reachable: `createLibp2p({ services: { nat: natTraversal() } })`.
 *
 * Maps the port of every listener, has connected peers verify the addresses before the node announces them, holds
 * reservations at relays until then, and renews and re-verifies everything. Releases everything before the node closes
 * its connections.
 *
 * With `relay()` or `autonat()` the node needs `identify()`, and with `relay()` also `circuitRelayTransport()`. Without
 * them, the creation or the start of the node fails with a TypeError. It also fails if a service such as
 * `@libp2p/dcutr`, `@libp2p/upnp-nat`, `@libp2p/autonat`, `@libp2p/autonat-v2` or a second `natTraversal()` does the
 * work of one of the strategies. Throws a TypeError for an invalid option.
 */
export function natTraversal(init: NatTraversalInit = {}): (components: Libp2pComponents) => NatTraversal {
  checkOptions('natTraversal()', init, {
    strategies: 'any',
    policy: 'object',
    store: 'any',
    owners: 'object',
    findNetwork: 'function',
    metrics: 'object',
    clock: 'object'
  })
  return (components) => new NatTraversalService(components, init)
}

class NatTraversalService implements NatTraversal, Startable {
  readonly [Symbol.toStringTag] = ownTag
  readonly addEventListener: NatTraversal['addEventListener']
  readonly removeEventListener: NatTraversal['removeEventListener']
  readonly #components: Libp2pComponents
  readonly #run: TraversalRun
  readonly #kinds: ReadonlySet<string>
  readonly #clock: Clock
  readonly #sink: MetricsSink | undefined
  readonly #headStart: HeadStart
  #running: Running | undefined

  constructor(components: Libp2pComponents, init: NatTraversalInit) {
    const { strategies = defaultStrategies(), policy = {}, clock = systemClock, findNetwork } = init
    const log = components.logger.forComponent('postern')
    const headStart = createHeadStart(components, clock)
    const host: Libp2pHost = {
      clock,
      random: Math.random,
      log: { debug: (text) => log.trace('%s', printable(text)), info: (text) => log('%s', printable(text)) },
      components,
      onStart: headStart.add,
      nat: () => traversal.report().nat
    }
    const store =
      init.store ??
      datastoreStore(components.datastore, (error) => log.error('the stored mappings cannot be read - %e', error))
    const isInUse = (): boolean => components.connectionManager.getConnections().some(isRelayed)
    const run = runTraversal({
      strategies: heldBack(strategies, headStart),
      host,
      store,
      ...(init.owners === undefined ? {} : { owners: init.owners }),
      ...(findNetwork === undefined ? {} : { findNetwork }),
      policy: { ...policy, relay: { isInUse, ...policy.relay } },
      changed: (network) => this.#running?.networkChanged(network)
    })
    const { traversal } = run
    const kinds = new Set(traversal.report().strategies.flatMap(({ kind }) => kind ?? []))
    this.#components = components
    this.#clock = clock
    this.#headStart = headStart
    this.#kinds = kinds
    this.#run = run
    this.addEventListener = traversal.addEventListener
    this.removeEventListener = traversal.removeEventListener
    const announcer = createAnnouncer(components.addressManager, kinds.has('witness'))
    const announce = (): void => announcer.update(traversal.report().candidates)
    for (const event of ['verified', 'refuted', 'lost', 'changed', 'released', 'verdict'] as const) {
      traversal.addEventListener(event, announce)
    }
    this.#sink = init.metrics ?? (components.metrics === undefined ? undefined : libp2pMetrics(components.metrics))
    // Throws for an invalid sink at construction, and not at the start.
    this.#record()?.stop()
  }

  /** libp2p reads this after it has created all services and before it checks their dependencies. It is the earliest
   * time at which the services can be checked. */
  get [serviceCapabilities](): string[] {
    checkServices(this, this.#components, this.#kinds)
    return ['@libp2p/nat-traversal', ...(this.#kinds.has('witness') ? ['@libp2p/autonat'] : [])]
  }

  report(): Report {
    const { advice, ...rest } = this.#run.traversal.report()
    const report = { ...rest, advice: [...networkTrouble(this.#run.networkError()), ...advice] }
    if (this.#kinds.has('witness')) return report
    return { ...report, advice: [...report.advice, ...announcingAdvice(report, this.#components.addressManager)] }
  }

  recheck(): void {
    this.#run.traversal.recheck()
  }

  async settled(): Promise<void> {
    await this.#running?.begun
    await this.#run.traversal.settled()
  }

  async direct(peer: PeerId, call: CallOptions): Promise<Connection> {
    checkDirect(peer, call)
    const { connectionManager } = this.#components
    if (connectionManager.getConnections(peer).length === 0) await connectionManager.openConnection(peer, call)
    await this.#run.traversal.upgrade(peer.toString(), call)
    const connection = connectionManager.getConnections(peer).find(isDirect)
    if (connection === undefined) throw natError('UNREACHABLE', 'the direct connection was closed immediately')
    return connection
  }

  /** Starts to watch the network. The transports listen in the next phase of the start. */
  start(): void {
    const controller = new AbortController()
    const follow = followListeners(this.#components, this.#run.traversal, controller.signal)
    const hasMoved = createMoveDetector()
    const running: Running = {
      controller,
      follow,
      networkChanged: (network) => {
        if (hasMoved(network)) running.ending = endDeadConnections(this.#components, this.#clock, controller)
        follow()
      },
      ending: undefined,
      begun: Promise.resolve(),
      recording: this.#record()
    }
    this.#running = running
    this.#run.watch()
  }

  /** Starts the traversal in the background, so that the start of the node does not wait for it. */
  afterStart(): void {
    const running = this.#running
    if (running === undefined) return
    const needsIdentify = this.#kinds.has('relay') || this.#kinds.has('witness')
    if (needsIdentify && !this.#components.registrar.getProtocols().some((name) => name.endsWith('/id/1.0.0'))) {
      throw new TypeError(withoutIdentify)
    }
    running.begun = this.#begin(running)
    running.follow()
  }

  /** Starts the traversal after the head start of the relays, unless the node has stopped meanwhile. */
  async #begin(running: Running): Promise<void> {
    await this.#headStart.begin(running.controller)
    // A platform that cannot report its routes still has listeners, relays and configured gateways.
    if (this.#running === running) await this.#run.start()
  }

  async beforeStop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    // Stop the traversal before the endpoints are removed; otherwise nothing would await their releases.
    await this.#run.stop()
    running?.recording?.stop()
    running?.controller.abort()
    await running?.begun.catch(() => undefined)
    await running?.ending
  }

  stop(): void {}

  /** Records the numbers, if anything takes them. */
  #record(): MetricsRecording | undefined {
    return this.#sink === undefined ? undefined : recordMetrics(this.#run.traversal, this.#sink)
  }
}

/** Throws a TypeError for wrong arguments of `direct()`. Text is the likely one: libp2p shows peer ids as text. */
function checkDirect(peer: unknown, call: unknown): void {
  if (!isPeerId(peer)) {
    const how = typeof peer === 'string' ? ', and not text: pass peerIdFromString(text) of @libp2p/peer-id' : ''
    throw new TypeError(`direct() takes a peer id${how}`)
  }
  const { signal }: { readonly signal?: unknown } = Object(call)
  if (!(signal instanceof AbortSignal)) throw new TypeError('direct() takes a signal: direct(peer, { signal })')
}

/** Lets the strategies wait for the head start. Values that are no strategies are for the traversal to reject. */
const heldBack = (
  strategies: readonly Strategy<Libp2pHost>[],
  { holdBack }: HeadStart
): readonly Strategy<Libp2pHost>[] =>
  Array.isArray(strategies) && strategies.every((each) => typeof each === 'function')
    ? strategies.map(holdBack)
    : strategies

const networkTrouble = (error: unknown): readonly string[] =>
  error === undefined ? [] : [`The network of this machine is not known: ${printable(errorText(error))}.`]

interface Running {
  readonly controller: AbortController
  /** Reads the listeners again. */
  readonly follow: () => void
  /** Reads the listeners again, and ends dead connections after a move to another network. */
  readonly networkChanged: (network: Network) => void
  /** Resolves when the connections that a move has broken have ended. */
  ending: Promise<void> | undefined
  /** Resolves when the traversal has started. */
  begun: Promise<void>
  /** The recording of the numbers, if anything takes them. */
  readonly recording: MetricsRecording | undefined
}
