import type { EventReason, MappingEvent } from '@postern/core'
import type { NatError, Protocol } from '@postern/interface'

/** What `Mappings.map` is asked for. */
export interface PortToMap {
  /** Undefined if any port will do. */
  readonly publicPort: number | undefined
  readonly privatePort: number
  readonly protocol: Protocol
  readonly lifetimeMs: number
}

/** A port that is to be mapped until it is released. */
export interface Entry extends PortToMap {
  /** Aborts when the mapping is no longer wanted. */
  readonly unwanted: AbortController
  /** `asked`: a call of `map` waits for the outcome. `mapped`, `failed`: how it ended. A failed one stays wanted. */
  state: 'asked' | 'mapped' | 'failed'
  /** The outcome of the call that waits, or waited last: undefined if the port is mapped. */
  outcome: Promise<NatError | undefined>
  /** What the router maps to the port now. */
  nextHop: MappingEvent['external']
  /** What the router behind it maps to that, where two are in a row. */
  beyond: MappingEvent['external']
  /** Whether the router behind it has refused. */
  isRefusedBeyond: boolean
  /** Why it does not, if the traversal has said so. */
  reasons: readonly EventReason[] | undefined
  /** Ends the mapping after its lifetime; undefined if it is renewed. */
  expiry: AbortController | undefined
}

/** Creates an entry. */
export const createEntry = (port: PortToMap): Entry => ({
  ...port,
  unwanted: new AbortController(),
  state: 'asked',
  outcome: Promise.resolve(undefined),
  nextHop: null,
  beyond: null,
  isRefusedBeyond: false,
  reasons: undefined,
  expiry: undefined
})

/** Returns the external address and port that lead to the port of an entry, of the outermost router. */
export const externalOf = ({ beyond, nextHop }: Entry): MappingEvent['external'] => beyond ?? nextHop

/** Whether an event is about the port of an entry. One about a router behind the next hop may name a port of the next hop
 * as the internal one. */
export const isAbout = ({ protocol, privatePort, nextHop }: Entry, { internal, ...event }: MappingEvent): boolean =>
  event.protocol === protocol && internal.port === privatePort && internal.address !== nextHop?.address

/** Notes what an event says about the entries. */
export function note(entries: ReadonlySet<Entry>, detail: MappingEvent): void {
  const { event, external, internal, protocol, reasons = [], through } = detail
  for (const entry of entries) {
    const { nextHop } = entry
    const isOfNextHop = nextHop?.address === internal.address && nextHop.port === internal.port
    if (event === 'failed' && external === null && isOfNextHop && entry.protocol === protocol)
      entry.isRefusedBeyond = true
    if (!isAbout(entry, detail)) continue
    if (event === 'failed') {
      if (external === null) entry.reasons = reasons
      continue
    }
    const level = through === undefined ? 'nextHop' : 'beyond'
    if (event === 'lost' || event === 'released') {
      if (entry[level]?.port === external?.port) entry[level] = null
    } else {
      entry[level] = external
      entry.reasons = undefined
    }
    if (event !== 'renewed') entry.isRefusedBeyond = false
  }
}
