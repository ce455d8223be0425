import type { CallOptions, Clock } from '@postern/interface'
import { createHeap } from './heap.js'

/** A clock that only moves when it is told to. */
export interface VirtualClock extends Clock {
  /** How many sleeps are under way. */
  readonly pending: number
  /** Lets time pass: wakes whoever is due, in the order of their times, and lets what they do settle before the next. */
  advance(ms: number): Promise<void>
  /** Advances to the next wake-up, and so on, until nobody sleeps. Rejects where that takes longer than `limitMs` of
   * virtual time, which somebody who always sleeps again makes sure of. */
  runUntilIdle(limitMs?: number): Promise<void>
  /** What the clock on the wall does when the machine slept or was set right. Monotonic time stands still, nobody wakes. */
  jumpWall(ms: number): void
}

export interface VirtualClockOptions {
  /** Unix time at the start, in ms. @default 2025-01-01T00:00:00Z */
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

/** Makes a {@link VirtualClock} that stands at 0 ms of monotonic time. */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  const { wallMs = Date.UTC(2025, 0, 1) } = options
  const heap = createHeap<Sleeper>((a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order))
  /** One listener for all sleepers of a signal: taking one of a thousand listeners off walks past all the others. */
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
      // Deadlines are mostly cancelled: what is dead must not wait in the heap for its time to come.
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

  /** When the next sleeper is due. */
  function nextMs(): number | undefined {
    let next = heap.peek()
    while (next?.over === true) {
      heap.pop()
      next = heap.peek()
    }
    return next?.dueMs
  }

  async function runTo(targetMs: number): Promise<void> {
    // What was started just before may be about to go to sleep.
    await settle()
    for (let due = nextMs(); due !== undefined && due <= targetMs; due = nextMs()) {
      nowMs = Math.max(nowMs, due)
      // All that are due at this instant; one that goes to sleep for 0 ms again gets its own turn.
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
      if (pending > 0) throw new Error(`${pending} still sleep after ${limitMs} ms of virtual time`)
    },
    jumpWall(ms) {
      wallOffsetMs += ms
    }
  }
}

/** A turn of the event loop: every chain of promises that can go on has gone on when it ends. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
