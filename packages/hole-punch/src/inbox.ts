import type { Stream } from '@libp2p/interface'
import type { CallOptions } from '@postern/interface'

/** Streams on which the other side begins rounds, one after the other. */
export interface Inbox {
  put(stream: Stream): void
  /** The next one. Rejects with the signal's reason. */
  take(call: CallOptions): Promise<Stream>
  /** Resets whatever is left, and whatever comes. */
  end(): void
}

export function createInbox(): Inbox {
  let left: Stream | undefined
  let waiting: ((stream: Stream) => void) | undefined
  let isOver = false

  return {
    put(stream) {
      // One is being served, and one may wait: a peer that opens more has lost count.
      if (isOver || left !== undefined) stream.abort(new Error(isOver ? 'it is over' : 'one round after the other'))
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
      left?.abort(new Error('it is over'))
      left = undefined
    }
  }
}
