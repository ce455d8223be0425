import { mappingEventNames } from '../model/events.js'
import { candidateStates, candidateTypes, evidenceOutcomes, verdicts } from '../model/report.js'
import { requestOutcomes, requestVerbs } from '../model/request-event.js'

/** An attribute of an instrument. */
export interface InstrumentAttribute {
  /** The name, as in OpenTelemetry's semantic conventions. */
  readonly name: string
  /** What a value says. */
  readonly description: string
  /** The values that it can have: a closed list, the names of strategies, or the codes of the `NatError` registry. */
  readonly values: readonly string[] | 'strategies' | 'error codes'
}

/** A number that a program measures. */
export interface Instrument {
  /** The name, as in OpenTelemetry's semantic conventions. */
  readonly name: string
  /** `counter`: only grows. `gauge`: is read when it is asked for. `histogram`: a distribution of values. */
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** The unit in UCUM: `s`, or a word in braces for a count. */
  readonly unit: string
  /** What is measured. */
  readonly description: string
  /** What the number is broken down by. */
  readonly attributes: readonly InstrumentAttribute[]
  /** Only of a histogram: the upper bounds of its buckets, in the unit. */
  readonly buckets?: readonly number[]
}

/** The strategies that have values of their own in metrics. */
export const builtInStrategies = [
  'manual',
  'pcp',
  'nat-pmp',
  'upnp',
  'stun',
  'autonat',
  'witness',
  'relay',
  'ssh',
  'bore',
  'hole-punch'
] as const

const strategy: InstrumentAttribute = {
  name: 'postern.strategy',
  description: 'The strategy',
  values: 'strategies'
}

const errorType: InstrumentAttribute = {
  name: 'error.type',
  description: 'The code of the error; not set without one',
  values: 'error codes'
}

const closed = (name: string, description: string, values: readonly string[]): InstrumentAttribute => ({
  name,
  description,
  values
})

/** The short names of the instruments. */
export type InstrumentName =
  | 'requestDuration'
  | 'leases'
  | 'grants'
  | 'renewals'
  | 'lapses'
  | 'mappingEvents'
  | 'votes'
  | 'upgrades'
  | 'verdict'
  | 'candidates'

/** Every instrument, by a short name. Data only; `recordMetrics` measures them. */
export const instruments: Readonly<Record<InstrumentName, Instrument>> = {
  requestDuration: {
    name: 'postern.strategy.request.duration',
    kind: 'histogram',
    unit: 's',
    description: 'How long the requests of strategies took',
    attributes: [
      strategy,
      closed('postern.verb', 'What was asked for: the method of the contract', requestVerbs),
      closed('postern.outcome', 'How the request ended', requestOutcomes),
      errorType
    ],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
  },
  leases: {
    name: 'postern.lease.count',
    kind: 'gauge',
    unit: '{lease}',
    description: 'Leases that are alive: mappings, reservations at relays, and ports of other hosts',
    attributes: [strategy]
  },
  grants: {
    name: 'postern.lease.grants',
    kind: 'counter',
    unit: '{grant}',
    description: 'Leases that were granted, without renewals',
    attributes: [strategy]
  },
  renewals: {
    name: 'postern.lease.renewals',
    kind: 'counter',
    unit: '{renewal}',
    description: 'Leases that were renewed, with the same address or another one',
    attributes: [strategy]
  },
  lapses: {
    name: 'postern.lease.lapses',
    kind: 'counter',
    unit: '{lapse}',
    description: 'Leases that ended before they were released: expired, lost by the router, or of no use any more',
    attributes: [strategy, errorType]
  },
  mappingEvents: {
    name: 'postern.mapping.events',
    kind: 'counter',
    unit: '{event}',
    description: 'Events of endpoints',
    attributes: [closed('postern.event', 'The name of the event', mappingEventNames)]
  },
  votes: {
    name: 'postern.witness.votes',
    kind: 'counter',
    unit: '{vote}',
    description: 'Answers of witnesses about an address of this host',
    attributes: [strategy, closed('postern.vote', 'What the witness found', evidenceOutcomes)]
  },
  upgrades: {
    name: 'postern.peer.upgrades',
    kind: 'counter',
    unit: '{upgrade}',
    description: 'Relayed connections to peers that became direct, or did not: hole punches, by outcome',
    attributes: [strategy, closed('postern.upgrade', 'How it ended', ['direct', 'failed'])]
  },
  verdict: {
    name: 'postern.reachability.verdict',
    kind: 'gauge',
    unit: '{verdict}',
    description: '1 for the current verdict, and 0 for the others',
    attributes: [closed('postern.verdict', 'How reachable the host is', verdicts)]
  },
  candidates: {
    name: 'postern.candidate.count',
    kind: 'gauge',
    unit: '{candidate}',
    description: 'External addresses that are known',
    attributes: [
      closed('postern.candidate.type', 'Where the address comes from', candidateTypes),
      closed('postern.candidate.state', 'What is known of the address', candidateStates)
    ]
  }
}

/** Returns the name of an instrument in Prometheus, as the OpenTelemetry specification derives it: with `_seconds` for
 * the unit `s`, and `_total` for a counter. */
export const prometheusName = ({ name, kind, unit }: Instrument): string =>
  `${prometheusLabel(name)}${unit === 's' ? '_seconds' : ''}${kind === 'counter' ? '_total' : ''}`

/** Returns the name of an attribute as a label in Prometheus. */
export const prometheusLabel = (name: string): string => name.replaceAll('.', '_')

/** Returns the label of an instrument for metrics that have one label each, as those of libp2p: the name of its only
 * attribute, or the last words of all of them, with `_` between them. The value of such a label has all values, with `/` between them. */
export const singleLabel = ({ attributes }: Instrument): string =>
  attributes.length === 1
    ? attributes.map(({ name }) => prometheusLabel(name)).join()
    : attributes.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)).join('_')
