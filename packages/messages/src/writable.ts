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

/** Holds the sender of a stream up, and lets it go on. */
export interface StreamGate {
  /** The stream hands over nothing more, after the messages that are being handed over now. */
  hold(): void
  release(): void
}

/**
 * Pauses a stream in a way that its transport is told of. May be called from a `message` listener.
 *
 * A stream of `@libp2p/utils` 7.4 that is paused by a listener while it hands over what had waited (in `resume()`) tells the
 * transport afterwards to go on: the sender sends, what it sends is kept, and at 4 MiB the stream is reset. So the pause
 * comes a microtask later. What waits unread is then never more than one window of the transport.
 */
export function gateOf(stream: Stream): StreamGate {
  let isHeld = false
  const apply = (): void => {
    if (isHeld && stream.readStatus === 'readable') stream.pause()
  }
  return {
    hold() {
      isHeld = true
      queueMicrotask(apply)
    },
    release() {
      isHeld = false
      if (stream.readStatus === 'paused') stream.resume()
    }
  }
}
