import type { NatError, Protocol } from '@postern/interface'
import { errorText, printable } from '@postern/interface'
import type { LeaseEvent } from './lease-event.js'
import type { PeerReport, Report, StrategyReport } from './report.js'
import type { RequestEvent } from './request-event.js'

/** The names of mapping events, in the order in which they are documented. */
export const mappingEventNames = [
  'mapped',
  'renewed',
  'changed',
  'lost',
  'verified',
  'refuted',
  'failed',
  'released',
  'shared'
] as const

/** What happened to a wanted endpoint. `mapped`: a mapping was granted. `renewed`: it was renewed unchanged.
 * `changed`: it was renewed with other addresses. `lost`: it ended before it was released. `verified`, `refuted`: a
 * quorum of witnesses reached the address, or could not. `failed`: no strategy could map the endpoint, or a mapping
 * was not released. `released`: the mapping was deleted. `shared`: other programs of this host hold the same
 * mapping. */
export type MappingEventName = (typeof mappingEventNames)[number]

/** A program of this host that uses the mapping of an endpoint. */
export interface Owner {
  /** The id of its process. */
  readonly pid: number
  /** Its name, for people. */
  readonly program: string
}

/** An event of one wanted endpoint. `postern --json` prints this object unchanged. */
export interface MappingEvent {
  /** What happened. */
  readonly event: MappingEventName
  /** The name of the strategy; null if none is involved. */
  readonly strategy: string | null
  readonly protocol: Protocol
  /** The listening socket, without wildcards where a strategy is involved. */
  readonly internal: { readonly address: string; readonly port: number }
  /** Null if nothing was granted. */
  readonly external: { readonly address: string; readonly port: number } | null
  /** The granted lifetime; null for a mapping that never expires, or if nothing was granted. */
  readonly lifetimeSeconds: number | null
  /** Only for a mapping on a mapping: the external address and port of the next hop. What comes to `external` goes there,
   * and from there to `internal`. */
  readonly through?: { readonly address: string; readonly port: number }
  /** Only with `failed`, `lost` and `refuted`: the reasons, one per strategy. */
  readonly reasons?: readonly EventReason[]
  /** Only with `shared`: the other programs of this host that hold the mapping. */
  readonly owners?: readonly Owner[]
}

/** Why one strategy failed. */
export interface EventReason {
  /** The name of the strategy. */
  readonly strategy: string
  /** A code of the `NatError` registry. Compare this, and not the message. */
  readonly code: string
  /** What happened, for people. */
  readonly message: string
}

/** Returns the text of an error, or its code if a third-party strategy left the text empty. */
export const reasonText = (error: NatError): string => printable(errorText(error))

export const eventReason = (strategy: string, error: NatError): EventReason => ({
  strategy,
  code: error.code,
  message: reasonText(error)
})

/** The events of a traversal by name. */
export type TraversalEvents = {
  readonly [name in MappingEventName]: CustomEvent<MappingEvent>
} & {
  /** The line of a strategy in the report has changed. */
  readonly strategy: CustomEvent<StrategyReport>
  /** The verdict, the cause, the addresses or the NAT's behaviour have changed. */
  readonly verdict: CustomEvent<Report>
  /** A relayed connection to a peer has come closer to a direct one, or the attempt has failed. */
  readonly upgrade: CustomEvent<PeerReport>
  /** A request to a strategy has ended. */
  readonly request: CustomEvent<RequestEvent>
  /** A mapping, a reservation at a relay or a port of another host was granted, was renewed or has ended. */
  readonly lease: CustomEvent<LeaseEvent>
}

type Listener<E> = ((event: E) => void) | { handleEvent(event: E): void } | null

/** An EventTarget with typed events. */
export interface TypedEvents<Events extends object> {
  /** As `EventTarget.addEventListener`. */
  addEventListener<Name extends string & keyof Events>(
    name: Name,
    listener: Listener<Events[Name]>,
    options?: boolean | AddEventListenerOptions
  ): void
  /** As `EventTarget.removeEventListener`. */
  removeEventListener<Name extends string & keyof Events>(
    name: Name,
    listener: Listener<Events[Name]>,
    options?: boolean | EventListenerOptions
  ): void
}

interface AddEventListenerOptions {
  readonly once?: boolean
  readonly signal?: AbortSignal
  readonly passive?: boolean
  readonly capture?: boolean
}

interface EventListenerOptions {
  readonly capture?: boolean
}

/** Creates an event target and the function that dispatches its events. */
export function createEvents(): {
  readonly target: TypedEvents<TraversalEvents>
  readonly fire: <Name extends keyof TraversalEvents>(name: Name, detail: TraversalEvents[Name]['detail']) => void
} {
  const target = new EventTarget()
  return {
    target: {
      addEventListener: target.addEventListener.bind(target),
      removeEventListener: target.removeEventListener.bind(target)
    },
    fire: (name, detail) => void target.dispatchEvent(new CustomEvent(name, { detail }))
  }
}
