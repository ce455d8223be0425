import type { CallOptions, Clock } from '@postern/interface'
import { createHeap } from './heap.js'

/** A clock that moves only when `advance` or `runUntilIdle` is called. */
export interface VirtualClock extends Clock {
  /** The number of pending sleeps. */
  readonly pending: number
  /** Advances time. Wakes due sleepers in the order of their times, and lets promises settle before the next one. */
  advance(ms: number): Promise<void>
  /**
   * Advances from wake-up to wake-up until nothing sleeps. Rejects if that takes longer than `limitMs` of virtual time,
   * as with a loop that always sleeps again.
   */
  runUntilIdle(limitMs?: number): Promise<void>
  /** Moves the wall clock, as a suspend or a correction does. Monotonic time does not change and no sleeper wakes. */
  jumpWall(ms: number): void
}

/** Options of `virtualClock()`. */
export interface VirtualClockOptions {
  /** The Unix time at the start, in milliseconds. @default 2025-01-01T00:00:00Z */
  readonly wallMs?: number
}

interface Sleeper {
  readonly dueMs: number
  readonly order: number
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
  readonly signal: AbortSignal
  over: boolean
}

/** Creates a {@link VirtualClock} at 0 ms of monotonic time. */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  const { wallMs = Date.UTC(2025, 0, 1) } = options
  const heap = createHeap<Sleeper>((a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order))
  /** One listener for all sleepers of a signal, since removing one of a thousand listeners is a linear search. */
  const bySignal = new WeakMap<AbortSignal, { readonly sleepers: Set<Sleeper>; readonly abort: () => void }>()
  let nowMs = 0
  let wallOffsetMs = wallMs
  let order = 0
  let pending = 0

  function sleepersOf(signal: AbortSignal): { readonly sleepers: Set<Sleeper>; readonly abort: () => void } {
    const found = bySignal.get(signal)
    if (found !== undefined) return found
    const sleepers = new Set<Sleeper>()
    const abort = (): void => {
      bySignal.delete(signal)
      for (const sleeper of sleepers) {
        sleeper.over = true
        pending -= 1
        sleeper.reject(signal.reason)
      }
      // Most deadlines are cancelled, so cancelled sleepers must not stay in the heap until they are due.
      if (heap.size > 64 && heap.size > 2 * pending) heap.keep((each) => !each.over)
    }
    signal.addEventListener('abort', abort, { once: true })
    const entry = { sleepers, abort }
    bySignal.set(signal, entry)
    return entry
  }

  function wake(sleeper: Sleeper): void {
    const { signal } = sleeper
    const { sleepers, abort } = sleepersOf(signal)
    sleepers.delete(sleeper)
    if (sleepers.size === 0) {
      bySignal.delete(signal)
      signal.removeEventListener('abort', abort)
    }
    sleeper.over = true
    pending -= 1
    sleeper.resolve()
  }

  /** Returns when the next sleeper is due. */
  function nextMs(): number | undefined {
    let next = heap.peek()
    while (next?.over === true) {
      heap.pop()
      next = heap.peek()
    }
    return next?.dueMs
  }

  async function runTo(targetMs: number): Promise<void> {
    // Work that has just started may be about to sleep.
    await settle()
    for (let due = nextMs(); due !== undefined && due <= targetMs; due = nextMs()) {
      nowMs = Math.max(nowMs, due)
      // Wakes all sleepers that are due now. A sleeper that sleeps for 0 ms again gets a later turn.
      for (let next = heap.peek(); next !== undefined && next.dueMs <= nowMs; next = heap.peek()) {
        heap.pop()
        if (!next.over) wake(next)
      }
      await settle()
    }
  }

  return {
    monotonicMs: () => nowMs,
    wallMs: () => wallOffsetMs + nowMs,
    sleep(ms: number, { signal }: CallOptions): Promise<void> {
      if (signal.aborted) return Promise.reject(signal.reason)
      return new Promise((resolve, reject) => {
        order += 1
        const sleeper: Sleeper = { dueMs: nowMs + Math.max(0, ms), order, resolve, reject, signal, over: false }
        sleepersOf(signal).sleepers.add(sleeper)
        pending += 1
        heap.push(sleeper)
      })
    },
    get pending() {
      return pending
    },
    async advance(ms) {
      const targetMs = nowMs + ms
      await runTo(targetMs)
      nowMs = Math.max(nowMs, targetMs)
    },
    async runUntilIdle(limitMs = 365 * 86_400_000) {
      const targetMs = nowMs + limitMs
      await runTo(targetMs)
      if (pending > 0) throw new Error(`${pending} sleeps are still pending after ${limitMs} ms of virtual time`)
    },
    jumpWall(ms) {
      wallOffsetMs += ms
    }
  }
}

/** Resolves after a turn of the event loop, when all chains of promises that can proceed have done so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
