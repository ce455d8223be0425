import type { EndpointOwners, MetricsSink, PolicyOptions, Store, TraversalEvents } from '@postern/core'
import { checkOptions, type Host, type Network, type ServerHost, type Strategy } from '@postern/interface'
import { defaultStrategies, parseLadder } from './ladder.js'

/** The options of {@link expose}. */
export interface ExposeOptions {
  /** The strategies in rank order, as an array or as text (`'pcp,upnp'`, `'any,manual:203.0.113.7:8080'`,
   * `'any,witness:203.0.113.9:4003'`).
   * @default PCP, NAT-PMP, UPnP */
  readonly strategies?: readonly Strategy<ServerHost>[] | string
  /** The store for mappings across runs, so that a run after a crash reuses its own mapping.
   * @default a file of this program in `$XDG_STATE_HOME/postern` */
  readonly store?: Store
  /** The registry of programs on this host that may map the same port: they share one mapping, and the last one deletes
   * it.
   * @default all programs of this user, through files in `$XDG_STATE_HOME/postern/endpoints` */
  readonly owners?: EndpointOwners
  /** Replaces parts of the default policy.
   * @default the default policy */
  readonly policy?: PolicyOptions
  /** Ends the exposure when it aborts, like `close()`.
   * @default never */
  readonly signal?: AbortSignal
  /** The external port to request first. A port below 1024 is requested only if it is given here.
   * @default the server's own port */
  readonly externalPort?: number
  /** Whether to release the mappings when the process gets SIGINT, SIGTERM or SIGHUP, or ends by itself; it then ends.
   * After `process.exit()` nothing can be released, and the mappings expire.
   * @default false */
  readonly releaseOnExit?: boolean
  /** Event listeners that also get the events before `expose` resolves.
   * @default none */
  readonly on?: Listeners
  /** Where the numbers of the exposure go, from its first request: `openTelemetryMetrics(meter)` of `@postern/core`, or a
   * sink of your own.
   * @default nowhere: nothing is recorded */
  readonly metrics?: MetricsSink
  /** The clock, the source of randomness and the log.
   * @default those of the system, and no log */
  readonly host?: Host
  /** Resolves to the network of this host.
   * @default its routes and interfaces */
  readonly findNetwork?: (call: { readonly signal: AbortSignal }) => Promise<Network>
}

/** A listener for each event of a traversal, by its name. */
export type Listeners = {
  readonly [Name in keyof TraversalEvents]?: (event: TraversalEvents[Name]) => void
}

/** Throws a TypeError for invalid options. */
export function checkExposeOptions(options: ExposeOptions): void {
  checkOptions('expose()', options, {
    strategies: 'any',
    store: 'any',
    policy: 'object',
    signal: 'signal',
    externalPort: 'any',
    releaseOnExit: 'boolean',
    on: 'object',
    metrics: 'object',
    host: 'object',
    owners: 'object',
    findNetwork: 'function'
  })
  const { externalPort } = options
  if (externalPort !== undefined && !(Number.isInteger(externalPort) && externalPort > 0 && externalPort < 65_536)) {
    throw new TypeError(`externalPort is not a number in 1…65535: ${quoted(externalPort)}`)
  }
  if (typeof options.store === 'string') {
    throw new TypeError(`store is a text: pass fileStore({ path: ${JSON.stringify(options.store)} })`)
  }
  checkOwners(options.owners)
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
    upgrade: 'function',
    request: 'function',
    lease: 'function'
  })
}

/** Quotes a text, so that `"80"` and `80` look different in a message. */
const quoted = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : String(value))

function checkOwners(owners: ExposeOptions['owners']): void {
  if (owners === undefined || [owners.join, owners.holders].every((part) => typeof part === 'function')) return
  throw new TypeError('owners has no join() and holders(): pass what endpointOwners() returns')
}

/** Returns the strategies of the option. Throws a TypeError for invalid text. */
export function readStrategies(strategies: ExposeOptions['strategies']): readonly Strategy<ServerHost>[] {
  if (strategies === undefined) return defaultStrategies()
  const isText =
    Array.isArray(strategies) && strategies.length > 0 && strategies.every((each) => typeof each === 'string')
  if (isText) throw new TypeError(`strategies is an array of text: pass one text, '${strategies.join()}'`)
  return typeof strategies === 'string' ? parseLadder(strategies) : strategies
}
