import { errorText, printable } from '@postern/interface'
import type { NatError, Protocol } from '@postern/interface'
import type { Owner } from './owners.js'
import type { PeerReport, Report, StrategyReport } from './report.js'

export type MappingEventName =
  | 'mapped'
  | 'renewed'
  | 'changed'
  | 'lost'
  | 'verified'
  | 'refuted'
  | 'failed'
  | 'released'
  | 'shared'

/** What became of one wanted endpoint. `postern --json` prints it as it is. */
export interface MappingEvent {
  readonly event: MappingEventName
  /** Null where no strategy has a part in it. */
  readonly strategy: string | null
  readonly protocol: Protocol
  readonly internal: { readonly address: string; readonly port: number }
  /** Null where nothing was granted. */
  readonly external: { readonly address: string; readonly port: number } | null
  /** As granted; null for one that never lapses, or where nothing was granted. */
  readonly lifetimeSeconds: number | null
  /** Only with `failed`, `lost` and `refuted`: why, one entry a strategy. */
  readonly reasons?: readonly EventReason[]
  /** Only with `shared`: the other programs of this host that have the mapping. */
  readonly owners?: readonly Owner[]
}

export interface EventReason {
  readonly strategy: string
  readonly code: string
  readonly message: string
}

/** What an error says, for people. A strategy of another author may leave the text out: the code stands in for it. */
export const reasonText = (error: NatError): string => printable(errorText(error))

export const eventReason = (strategy: string, error: NatError): EventReason => ({
  strategy,
  code: error.code,
  message: reasonText(error)
})

export type TraversalEvents = {
  readonly [name in MappingEventName]: CustomEvent<MappingEvent>
} & {
  /** A strategy's line in the report has changed. */
  readonly strategy: CustomEvent<StrategyReport>
  /** Verdict, cause, addresses, or what is known of the NAT have changed. */
  readonly verdict: CustomEvent<Report>
  /** A peer that is connected through a relay has come nearer to a direct connection, or will have none. */
  readonly upgrade: CustomEvent<PeerReport>
}

type Listener<E> = ((event: E) => void) | { handleEvent(event: E): void } | null

/** An EventTarget that knows its events. */
export interface TypedEvents<Events extends object> {
  addEventListener<Name extends string & keyof Events>(
    name: Name,
    listener: Listener<Events[Name]>,
    options?: boolean | AddEventListenerOptions
  ): void
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

/** Makes a target, and what fires its events. */
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
