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
  external: MappingEvent['external']
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
  external: null,
  reasons: undefined,
  expiry: undefined
})

/** Whether an event is about the port of an entry. */
export const isAbout = ({ protocol, privatePort }: Entry, { internal, ...event }: MappingEvent): boolean =>
  event.protocol === protocol && internal.port === privatePort
