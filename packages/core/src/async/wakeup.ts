import { abortReason, type CallOptions, type Clock } from '@postern/interface'

/** Why a waiter was woken. */
export type WakeReason = 'time' | 'rescan' | 'recheck'

/** Wakes its one waiter. A wake without a waiter is kept; `recheck` outweighs `rescan`. */
export interface Wakeup {
  wake(why: 'rescan' | 'recheck'): void
  /** Resolves after `ms`, or when woken. Rejects with the signal's reason. */
  wait(ms: number, call: CallOptions): Promise<WakeReason>
  /** Discards a kept wake. */
  clear(): void
}

const woken = abortReason('woken')

export function createWakeup(clock: Clock): Wakeup {
  let kept: 'rescan' | 'recheck' | undefined
  let wake: (() => void) | undefined
  const take = (): WakeReason => {
    const why = kept ?? 'time'
    kept = undefined
    return why
  }
  return {
    wake(why) {
      if (kept !== 'recheck') kept = why
      wake?.()
    },
    clear() {
      kept = undefined
    },
    wait(ms, { signal }) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        if (kept !== undefined) return resolve(take())
        const controller = new AbortController()
        const settle = (): void => {
          wake = undefined
          signal.removeEventListener('abort', aborted)
        }
        const aborted = (): void => {
          settle()
          controller.abort(woken)
          reject(signal.reason)
        }
        wake = () => {
          settle()
          controller.abort(woken)
          resolve(take())
        }
        signal.addEventListener('abort', aborted)
        if (ms === Number.POSITIVE_INFINITY) return
        clock.sleep(Math.max(0, ms), controller).then(
          () => {
            // It was woken in the same tick in which the time was up.
            if (controller.signal.aborted) return
            settle()
            resolve(take())
          },
          (error: unknown) => {
            if (controller.signal.aborted) return
            settle()
            reject(error)
          }
        )
      })
    }
  }
}
