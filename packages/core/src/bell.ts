import type { CallOptions, Clock } from '@postern/interface'

/** Why somebody who waits was woken. */
export type Ring = 'time' | 'look' | 'check'

/** Wakes the one who waits at it. Rings that nobody waits for are kept; `check` outweighs `look`. */
export interface Bell {
  ring(why: 'look' | 'check'): void
  /** Forgets the rings that nobody has waited for. */
  silence(): void
  /** Resolves after `ms`, or when rung. Rejects with the signal's reason. */
  wait(ms: number, call: CallOptions): Promise<Ring>
}

/** Made once: an abort without a reason makes a new error with its stack. */
const rang = new Error('rung')

export function createBell(clock: Clock): Bell {
  let rung: 'look' | 'check' | undefined
  let wake: (() => void) | undefined
  const take = (): Ring => {
    const why = rung ?? 'time'
    rung = undefined
    return why
  }
  return {
    ring(why) {
      if (rung !== 'check') rung = why
      wake?.()
    },
    silence() {
      rung = undefined
    },
    async wait(ms, { signal }) {
      signal.throwIfAborted()
      if (rung !== undefined) return take()
      const cut = new AbortController()
      const stop = (): void => cut.abort(rang)
      signal.addEventListener('abort', stop)
      wake = stop
      try {
        if (ms === Number.POSITIVE_INFINITY) await ended(cut.signal)
        else await clock.sleep(Math.max(0, ms), { signal: cut.signal })
      } catch (error) {
        if (!cut.signal.aborted) throw error
      } finally {
        wake = undefined
        signal.removeEventListener('abort', stop)
      }
      signal.throwIfAborted()
      return take()
    }
  }
}

/** Resolves when the signal aborts. */
export function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
