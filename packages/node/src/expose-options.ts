import type { EndpointOwners, PolicyOptions, Store, TraversalEvents } from '@postern/core'
import { checkOptions, type Host, type Network, type Strategy } from '@postern/interface'
import { defaultStrategies, parseLadder } from './ladder.js'

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
  /** Release the mappings when the process is told to end (SIGINT, SIGTERM, SIGHUP) or ends by itself, then let it end. After
   * `process.exit()` nothing can be released: the mappings lapse.
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

/** Throws a TypeError for options that cannot be right. */
export function checkExposeOptions(options: ExposeOptions): void {
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
    upgrade: 'function'
  })
}

function checkOwners(owners: ExposeOptions['owners']): void {
  if (owners === undefined || [owners.join, owners.holders].every((part) => typeof part === 'function')) return
  throw new TypeError('owners has no join() and holders(): pass what endpointOwners() returns')
}

export function readStrategies(strategies: ExposeOptions['strategies']): readonly Strategy[] {
  if (strategies === undefined) return defaultStrategies()
  const isText =
    Array.isArray(strategies) && strategies.length > 0 && strategies.every((each) => typeof each === 'string')
  if (isText) throw new TypeError(`strategies is an array of text: pass one text, '${strategies.join()}'`)
  return typeof strategies === 'string' ? parseLadder(strategies) : strategies
}
