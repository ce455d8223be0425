import type { EvidenceReport } from './report.js'

/** What a strategy can be asked for. Each verb is the method of the contract that was called, and `lifetime` is
 * `lifetimeMs` of an observer. */
export const requestVerbs = [
  'discover',
  'map',
  'undo',
  'reserve',
  'forward',
  'renew',
  'release',
  'verify',
  'observe',
  'refresh',
  'lifetime',
  'upgrade'
] as const

/** What a strategy was asked for. */
export type RequestVerb = (typeof requestVerbs)[number]

/** How a request can end. `aborted`: it was not needed any more, which says nothing of the other side. */
export const requestOutcomes = ['success', 'failure', 'aborted'] as const

/** One request to a strategy that has ended. */
export interface RequestEvent {
  /** The name of the strategy. */
  readonly strategy: string
  /** What it was asked for. `discover` ends with the first outcome of a search, as `tookMs` of the report does. */
  readonly verb: RequestVerb
  /** How the request ended. */
  readonly outcome: (typeof requestOutcomes)[number]
  /** A code of the `NatError` registry; null unless it failed. */
  readonly code: string | null
  /** How long it took, in ms, with the time limit of the caller. */
  readonly durationMs: number
  /** Only of `verify`: what the witness found. */
  readonly vote?: EvidenceReport['outcome']
}
