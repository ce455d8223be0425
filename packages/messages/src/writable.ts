import type { Stream } from '@libp2p/interface'
import { type CallOptions, natError } from '@postern/interface'

/**
 * Resolves when a stream has passed on everything that was sent to it and takes more. Call it after `send()` has returned
 * false, and send nothing until it resolves: then what waits in memory for a peer that reads slowly, or not at all, is
 * never more than the last chunk.
 *
 * Rejects with `NO_REPLY` when the stream ends first, or with the signal's reason.
 *
 * `onDrain()` of the stream does not do this: in `@libp2p/utils` 7.4 its promise is made once and resolves at once from the
 * second time on. One `drain` event is not enough either: it says that the window has opened, by one byte perhaps.
 */
export function untilWritable(stream: Stream, { signal }: CallOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (): void => {
      for (const event of ['drain', 'idle'] as const) stream.removeEventListener(event, look)
      stream.removeEventListener('close', closed)
      signal.removeEventListener('abort', aborted)
    }
    // The stream's own listener for `drain` sends what is left in a microtask that comes before this one.
    const look = (): void => queueMicrotask(check)
    const check = (): void => {
      if (stream.writeBufferLength > 0 || stream.writableNeedsDrain) return
      over()
      resolve()
    }
    const closed = (): void => {
      over()
      reject(natError('NO_REPLY', 'the stream ended before everything was sent'))
    }
    const aborted = (): void => {
      over()
      reject(signal.reason)
    }
    if (signal.aborted) return reject(signal.reason)
    if (stream.status !== 'open' || stream.writeStatus === 'closed') return closed()
    for (const event of ['drain', 'idle'] as const) stream.addEventListener(event, look)
    stream.addEventListener('close', closed, { once: true })
    signal.addEventListener('abort', aborted, { once: true })
    check()
  })
}
