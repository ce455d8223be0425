import type { Stream } from '@libp2p/interface'
import type { CallOptions } from '@postern/interface'

/** The streams on which the other side begins rounds, one after the other. */
export interface Inbox {
  /** Adds a stream, or resets it if another one is waiting already. */
  put(stream: Stream): void
  /** Resolves with the next stream. Rejects with the signal's reason. */
  take(call: CallOptions): Promise<Stream>
  /** Resets the waiting stream and every later one. */
  end(): void
}

export function createInbox(): Inbox {
  let left: Stream | undefined
  let waiting: ((stream: Stream) => void) | undefined
  let isOver = false

  return {
    put(stream) {
      // One stream is in use and one may wait. No honest peer opens more.
      if (isOver || left !== undefined)
        stream.abort(new Error(isOver ? 'the punch has ended' : 'another round is waiting already'))
      else if (waiting === undefined) left = stream
      else waiting(stream)
    },
    take({ signal }) {
      return new Promise((resolve, reject) => {
        const given = (stream: Stream): void => {
          waiting = undefined
          signal.removeEventListener('abort', aborted)
          resolve(stream)
        }
        const aborted = (): void => {
          waiting = undefined
          reject(signal.reason)
        }
        if (signal.aborted) return aborted()
        const ready = left
        left = undefined
        if (ready !== undefined) return resolve(ready)
        signal.addEventListener('abort', aborted, { once: true })
        waiting = given
      })
    },
    end() {
      isOver = true
      left?.abort(new Error('the punch has ended'))
      left = undefined
    }
  }
}
