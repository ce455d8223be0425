import type { CallOptions, Clock } from '@postern/interface'

/** Why a waiter was woken. */
export type Ring = 'time' | 'look' | 'check'

/** Wakes its one waiter. A ring without a waiter is kept; `check` outweighs `look`. */
export interface Bell {
  ring(why: 'look' | 'check'): void
  /** Resolves after `ms`, or when rung. Rejects with the signal's reason. */
  wait(ms: number, call: CallOptions): Promise<Ring>
  /** Discards a kept ring. */
  silence(): void
}

/** Created once, because abort() without a reason creates an error with a stack trace each time. */
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
    wait(ms, { signal }) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        if (rung !== undefined) return resolve(take())
        const cut = new AbortController()
        const settle = (): void => {
          wake = undefined
          signal.removeEventListener('abort', aborted)
        }
        const aborted = (): void => {
          settle()
          cut.abort(rang)
          reject(signal.reason)
        }
        wake = () => {
          settle()
          cut.abort(rang)
          resolve(take())
        }
        signal.addEventListener('abort', aborted)
        if (ms === Number.POSITIVE_INFINITY) return
        clock.sleep(Math.max(0, ms), cut).then(
          () => {
            // It rang in the same tick in which the time was up.
            if (cut.signal.aborted) return
            settle()
            resolve(take())
          },
          (error: unknown) => {
            if (cut.signal.aborted) return
            settle()
            reject(error)
          }
        )
      })
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
