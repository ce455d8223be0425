import type { Stream } from '@libp2p/interface'
import { type CallOptions, natError } from '@postern/interface'

/**
 * Resolves when a stream has written its whole buffer and accepts more data. Call it after `send()` returned false, and
 * send nothing until it resolves. Then at most the last chunk is buffered for a peer that reads slowly or not at all.
 *
 * Rejects with `NO_REPLY` if the stream ends first, or with the signal's reason.
 *
 * The stream's `onDrain()` cannot be used here: `@libp2p/utils` 7.4 creates its promise once, so every later call
 * resolves immediately. A single `drain` event is not enough either: the window may have opened by one byte only.
 */
export function untilWritable(stream: Stream, { signal }: CallOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (): void => {
      for (const event of ['drain', 'idle'] as const) stream.removeEventListener(event, look)
      stream.removeEventListener('close', closed)
      signal.removeEventListener('abort', aborted)
    }
    // The stream's own `drain` listener sends the rest of its buffer in an earlier microtask.
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

/** Pauses and resumes the remote sender of a stream. */
export interface StreamGate {
  /** Pauses the stream. Messages that are being delivered at this moment are still delivered. */
  hold(): void
  /** Resumes the stream. */
  release(): void
}

/**
 * Creates a gate that pauses a stream together with its transport. `hold` may be called from a `message` listener.
 *
 * `hold` pauses the stream in a microtask. In `@libp2p/utils` 7.4, `resume()` delivers buffered messages and then tells
 * the transport to continue, even if a `message` listener has paused the stream meanwhile. The sender would keep
 * sending, and the stream would be reset at 4 MiB of unread data. With the later pause, at most one transport window
 * stays unread.
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
