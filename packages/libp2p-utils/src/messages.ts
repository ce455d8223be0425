import type { Stream } from '@libp2p/interface'
import { type LengthPrefixedStream, lpStream } from '@libp2p/utils'
import { type CallOptions, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import { finishStream } from './streams.js'

/** A stream of length-prefixed messages. Each call rejects with a {@link NatError} or with the signal's reason. */
export interface Messages {
  /**
   * Resolves with the bytes of the next message, without the length prefix. Rejects with `REPLY_TOO_LARGE` for a
   * message over the limit or a full buffer, and with `NO_REPLY` if the stream ends before the message is complete.
   */
  read(call: CallOptions): Promise<Uint8Array>
  /** Sends one message with its length prefix. Rejects with `NO_REPLY` if the stream has ended. */
  write(bytes: Uint8Array, call: CallOptions): Promise<void>
  /** Closes our end and waits up to half a second for the peer to close its end; then resets the stream. */
  finish(call: CallOptions): Promise<void>
  /** Resets the stream. */
  reset(reason: Error): void
}

/**
 * Wraps a stream to read and write messages of at most `maxBytes` bytes. Received bytes that are not yet read are
 * buffered, up to `maxBuffered` bytes; beyond that, `read` rejects with `REPLY_TOO_LARGE`.
 */
export function messagesOf(
  stream: Stream,
  maxBytes: number,
  clock: Clock,
  maxBuffered: number = 4 * (maxBytes + maxLengthBytes)
): Messages {
  const messages: LengthPrefixedStream<Stream> = lpStream(stream, {
    maxDataLength: maxBytes,
    maxLengthLength: maxLengthBytes,
    maxBufferSize: maxBuffered,
    lengthDecoder: (bytes) => decodeLength(bytes.subarray(), maxBytes)
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

/** Enough for a length of two million (2 ** 21 - 1). */
const maxLengthBytes = 3

/**
 * Decodes an unsigned varint (multiformats unsigned-varint). Throws a RangeError if more bytes are needed. Throws a
 * NatError, REPLY_TOO_LARGE, if the length exceeds `maxBytes` or the varint is longer than three bytes; without that
 * limit a peer could send bytes with the high bit set for ever.
 */
export function decodeLength(bytes: Uint8Array, maxBytes: number): number {
  let length = 0
  for (const [index, byte] of bytes.entries()) {
    length += (byte & 0x7f) * 2 ** (7 * index)
    const isLast = byte < 0x80
    if (length > maxBytes || (!isLast && index + 1 >= maxLengthBytes)) {
      throw natError('REPLY_TOO_LARGE', `the message is larger than ${maxBytes} bytes`)
    }
    if (isLast) return length
  }
  throw new RangeError('the length prefix is incomplete')
}

function streamError(cause: unknown): NatError {
  if (isNatError(cause)) return cause
  const name = cause instanceof Error ? cause.name : ''
  if (name === 'StreamBufferError')
    return natError('REPLY_TOO_LARGE', 'the peer sent more than was requested', { cause })
  const how = name === 'StreamResetError' ? 'reset' : 'closed'
  return natError('NO_REPLY', `the stream was ${how} before the answer was complete`, { cause })
}
