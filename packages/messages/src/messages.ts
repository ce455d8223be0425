import type { Stream } from '@libp2p/interface'
import { type LengthPrefixedStream, lpStream } from '@libp2p/utils'
import { type CallOptions, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import { finishStream } from './streams.js'

/** A stream of length-prefixed messages. What goes wrong with it is a {@link NatError}, or the reason of the signal. */
export interface Messages {
  read(call: CallOptions): Promise<Uint8Array>
  write(bytes: Uint8Array, call: CallOptions): Promise<void>
  /** Closes our end, and waits a moment for the other side to close its own; then resets the stream. */
  finish(call: CallOptions): Promise<void>
  /** Resets the stream. */
  reset(reason: Error): void
}

/** Talks in messages of at most `mostBytes`. What comes faster than it is read is buffered, `mostBuffered` at most. */
export function messagesOf(
  stream: Stream,
  mostBytes: number,
  clock: Clock,
  mostBuffered: number = 4 * (mostBytes + mostLengthBytes)
): Messages {
  const messages: LengthPrefixedStream<Stream> = lpStream(stream, {
    maxDataLength: mostBytes,
    maxLengthLength: mostLengthBytes,
    maxBufferSize: mostBuffered,
    lengthDecoder: (bytes) => decodeLength(bytes.subarray(), mostBytes)
  })
  return {
    async read({ signal }) {
      try {
        const bytes = await messages.read({ signal })
        return bytes.subarray()
      } catch (error) {
        signal.throwIfAborted()
        throw streamError(error)
      }
    },
    async write(bytes, { signal }) {
      try {
        await messages.write(bytes, { signal })
      } catch (error) {
        signal.throwIfAborted()
        throw streamError(error)
      }
    },
    finish: (call) => finishStream(stream, clock, call),
    reset: (reason) => stream.abort(reason)
  }
}

/** Enough for a length of two million. */
const mostLengthBytes = 3

/** An unsigned varint (multiformats unsigned-varint). Throws a RangeError, which is how the caller knows that more bytes
 * are needed, or a NatError: without the second a peer could send bytes with the high bit set for ever. */
export function decodeLength(bytes: Uint8Array, mostBytes: number): number {
  let length = 0
  for (const [index, byte] of bytes.entries()) {
    length += (byte & 0x7f) * 2 ** (7 * index)
    const isLast = byte < 0x80
    if (length > mostBytes || (!isLast && index + 1 >= mostLengthBytes)) {
      throw natError('REPLY_TOO_LARGE', `a message of more than ${mostBytes} bytes`)
    }
    if (isLast) return length
  }
  throw new RangeError('the length goes on')
}

function streamError(cause: unknown): NatError {
  if (isNatError(cause)) return cause
  const name = cause instanceof Error ? cause.name : ''
  if (name === 'StreamBufferError') return natError('REPLY_TOO_LARGE', 'more was sent than was asked for', { cause })
  const how = name === 'StreamResetError' ? 'reset' : 'closed'
  return natError('NO_REPLY', `the stream was ${how} before the answer was complete`, { cause })
}
