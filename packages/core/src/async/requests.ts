import type { CallOptions, Clock } from '@postern/interface'
import type { EvidenceReport } from '../model/report.js'
import type { RequestEvent, RequestVerb } from '../model/request-event.js'
import { asNatError, attempt } from './attempt.js'

/** What is asked of which strategy. */
export interface RequestSubject<T> {
  readonly strategy: string
  readonly verb: RequestVerb
  /** Only of `verify`: returns what the witness found. */
  readonly vote?: (result: T) => EvidenceReport['outcome']
}

/** Makes the requests of a traversal to its strategies, and tells how each ended. */
export interface Requests {
  /** Does the same as {@link attempt}. */
  attempt<T>(
    subject: RequestSubject<T>,
    task: (call: CallOptions) => Promise<T>,
    timeoutMs: number,
    call: CallOptions,
    late?: (result: T) => void
  ): Promise<T>
  /** Runs a request that has no time limit. */
  measure<T>(subject: RequestSubject<T>, task: () => Promise<T>, call: CallOptions): Promise<T>
}

export function createRequests(clock: Clock, ended: (event: RequestEvent) => void): Requests {
  async function measure<T>(
    { strategy, verb, vote }: RequestSubject<T>,
    task: () => Promise<T>,
    { signal }: CallOptions
  ): Promise<T> {
    const beganMs = clock.monotonicMs()
    const tell = (outcome: RequestEvent['outcome'], code: string | null, result: Pick<RequestEvent, 'vote'>): void =>
      ended({ strategy, verb, outcome, code, durationMs: clock.monotonicMs() - beganMs, ...result })
    try {
      const result = await task()
      tell('success', null, vote === undefined ? {} : { vote: vote(result) })
      return result
    } catch (error) {
      if (signal.aborted) tell('aborted', null, {})
      // A witness that fails to answer has found nothing.
      else tell('failure', asNatError(error).code, vote === undefined ? {} : { vote: 'inconclusive' })
      throw error
    }
  }

  return {
    measure,
    attempt: (subject, task, timeoutMs, call, late) =>
      measure(subject, () => attempt(task, timeoutMs, clock, call, late), call)
  }
}
