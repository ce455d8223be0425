/** How long a service took for its last answers, and how long it may take for the next one. */
export interface AnswerTimes {
  note(tookMs: number): void
  /** The slowest of the last answers, in ms; 0 without any. */
  slowestMs(): number
  /** The fastest of the last answers, in ms: where datagrams are lost, the router is as fast as that. */
  fastestMs(): number
  /** How long to wait for one answer, in ms. */
  limitMs(): number
  /** How long to try to undo a request, in ms: three times as long as an answer takes. */
  undoMs(): number
}

/** A router that takes 10 s for an answer is a slow one, not an absent one. */
const minLimitMs = 12_000
const maxLimitMs = 25_000
const minUndoMs = 2000
const maxUndoMs = 15_000
/** One answer that was lost and sent again must not make a fast router a slow one for ever. */
const remembered = 4

/** Returns the times of a service that has not answered yet. */
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

/** RFC 6886 §3.1: the first wait, which doubles. */
const firstWaitMs = 250

/**
 * How long to wait after each sending of a UDP request, in ms (RFC 6886 §3.1): 250 ms at first, doubled each time, until the
 * waits come to `totalMs`. A slow router is asked again as soon as a fast one: that no answer has come does not tell a slow
 * router from a datagram that was lost.
 */
export function waitsFor(totalMs: number): readonly number[] {
  const waits = [firstWaitMs]
  for (let sumMs = firstWaitMs, waitMs = firstWaitMs; sumMs < totalMs; sumMs += waitMs) {
    waitMs *= 2
    waits.push(waitMs)
  }
  return waits
}

/** The schedule that lasts longer. */
export function longerWaits(one: readonly number[], other: readonly number[]): readonly number[] {
  const sum = (waits: readonly number[]): number => waits.reduce((total, ms) => total + ms, 0)
  return sum(other) > sum(one) ? other : one
}
