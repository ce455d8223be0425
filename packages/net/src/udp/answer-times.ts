/** How long a service took for its last answers, and how long to wait for the next one. */
export interface AnswerTimes {
  /** Adds the time that one answer took, in ms. */
  note(tookMs: number): void
  /** Returns the longest of the last answer times, in ms; 0 before the first answer. */
  slowestMs(): number
  /** Returns the shortest of the last answer times, in ms; 0 before the first answer. Lost datagrams do not lengthen
   * it. */
  fastestMs(): number
  /** Returns how long to wait for one answer, in ms. */
  limitMs(): number
  /** Returns how long to try to undo a request, in ms: three times the longest answer time, between 2 and 15 s. */
  undoMs(): number
}

/** The shortest limit for one answer, in ms: a router that takes 10 s to answer is slow, not absent. */
const minLimitMs = 12_000
const maxLimitMs = 25_000
const minUndoMs = 2000
const maxUndoMs = 15_000
/** The number of answer times that are kept. One answer that was lost and sent again must not make a fast router look
 * slow for ever. */
const remembered = 4

/** Creates the answer times of a service that has not answered yet. */
export function createAnswerTimes(): AnswerTimes {
  const last: number[] = []
  const slowestMs = (): number => Math.max(0, ...last)
  const between = (min: number, max: number): number => Math.min(max, Math.max(min, 3 * slowestMs()))
  return {
    slowestMs,
    fastestMs: () => (last.length === 0 ? 0 : Math.min(...last)),
    note(tookMs) {
      last.push(tookMs)
      if (last.length > remembered) last.shift()
    },
    limitMs: () => between(minLimitMs, maxLimitMs),
    undoMs: () => between(minUndoMs, maxUndoMs)
  }
}

/** The first wait of a retransmission schedule, in ms; each further one doubles (RFC 6886 §3.1). */
const firstWaitMs = 250

/**
 * Returns how long to wait after each transmission of a UDP request, in ms (RFC 6886 §3.1): 250 ms at first, doubled
 * each time, until the waits add up to at least `totalMs`. The first wait is short for slow routers too: a missing
 * answer does not tell whether the router is slow or the datagram was lost.
 */
export function waitsFor(totalMs: number): readonly number[] {
  const waits = [firstWaitMs]
  for (let sumMs = firstWaitMs, waitMs = firstWaitMs; sumMs < totalMs; sumMs += waitMs) {
    waitMs *= 2
    waits.push(waitMs)
  }
  return waits
}

/** Returns the schedule with the longer total time. */
export function longerWaits(one: readonly number[], other: readonly number[]): readonly number[] {
  const sum = (waits: readonly number[]): number => waits.reduce((total, ms) => total + ms, 0)
  return sum(other) > sum(one) ? other : one
}
