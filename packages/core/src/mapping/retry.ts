import type { Mapper, NatError } from '@postern/interface'
import type { Context } from '../context.js'
import { backOffMs } from '../model/policy.js'
import type { StrategyEntry } from '../discovery/discoveries.js'

/** Why mappers failed to map one wanted endpoint, and when each may be asked again. */
export interface Failures {
  add(entry: StrategyEntry, mapper: Mapper, error: NatError): void
  /** Backs off after a useless grant as after a failure, but records no error. */
  defer(entry: StrategyEntry, mapper: Mapper): void
  /** Honours the gateway's retry-after, for every kind of request. */
  rest(entry: StrategyEntry, mapper: Mapper, error: NatError): void
  of(entry: StrategyEntry): NatError | undefined
  /** When this mapper may be asked, on the monotonic clock. */
  readyMs(entry: StrategyEntry, mapper: Mapper): number
  /** Clears the error and its delay after a grant, and keeps the count of failures. */
  granted(entry: StrategyEntry): void
  /** Resets the failure count after a usable grant or a gateway restart. */
  clear(entry?: StrategyEntry): void
}

interface Failure {
  readonly mapper: Mapper
  readonly error: NatError | undefined
  readonly count: number
  readonly untilMs: number
}

/** A longer error lifetime is cut to this, in ms (RFC 6887 §7.4). */
const longestRestMs = 24 * 60 * 60 * 1000

export function createFailures({ host, policy, queues, touched }: Context): Failures {
  const { clock, log } = host
  const failures = new Map<StrategyEntry, Failure>()

  function rest(entry: StrategyEntry, mapper: Mapper, { retryAfterMs }: NatError): void {
    if (retryAfterMs === undefined) return
    const untilMs = clock.monotonicMs() + Math.min(retryAfterMs, longestRestMs)
    queues.of(mapper.gateway).notBeforeMs.set(entry.name, untilMs)
  }

  function note(entry: StrategyEntry, mapper: Mapper, error?: NatError): void {
    const count = (failures.get(entry)?.count ?? 0) + 1
    failures.set(entry, { mapper, error, count, untilMs: clock.monotonicMs() + backOffMs(policy.retry, count) })
  }

  return {
    rest,
    defer: note,
    add(entry, mapper, error) {
      note(entry, mapper, error)
      rest(entry, mapper, error)
      entry.failure = error
      touched()
      log.debug(`${entry.name}: ${error.code}: ${error.message}`)
    },
    of: (entry) => failures.get(entry)?.error,
    readyMs(entry, mapper) {
      const failure = failures.get(entry)
      const restsMs = queues.of(mapper.gateway).notBeforeMs.get(entry.name) ?? 0
      // A newly found mapper has not failed yet.
      return Math.max(restsMs, failure?.mapper === mapper ? failure.untilMs : 0)
    },
    granted(entry) {
      const failure = failures.get(entry)
      if (failure !== undefined) failures.set(entry, { ...failure, error: undefined, untilMs: 0 })
    },
    clear(entry) {
      if (entry === undefined) failures.clear()
      else failures.delete(entry)
    }
  }
}
