import { randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import { PING_PROTOCOL } from '@libp2p/ping'
import { type CallOptions, type Clock, natError } from '@postern/interface'
import { finishStream, openStream } from '@postern/libp2p-utils'

/** The length of a ping and of its answer, in bytes (libp2p ping specification). */
const pingBytes = 32

/**
 * Pings a peer over one connection with the ping protocol of libp2p. Resolves to the round-trip time in ms.
 *
 * The ping service of `@libp2p/ping` chooses a connection itself and does not tell which, and it measures with the wall
 * clock. Rejects with `UNSUPPORTED` if the peer does not speak the protocol, with `NO_REPLY` if the stream cannot be
 * opened or ends, with `MALFORMED_REPLY` for another answer, or with the signal's reason.
 */
export async function pingOver(
  connection: Connection,
  { clock, signal }: CallOptions & { readonly clock: Clock }
): Promise<number> {
  const stream = await openStream(connection, PING_PROTOCOL, { signal, runOnLimitedConnection: true })
  try {
    const sent = randomBytes(pingBytes)
    const answer = readBytes(stream, pingBytes, { signal })
    // The promise rejects also if sending fails, because the stream is reset then.
    answer.catch(() => undefined)
    const beganMs = clock.monotonicMs()
    send(stream, sent)
    const received = await answer
    const tookMs = clock.monotonicMs() - beganMs
    if (!sent.equals(received)) throw natError('MALFORMED_REPLY', 'the peer answered the ping with other bytes')
    void finishStream(stream, clock, { signal })
    return tookMs
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

function send(stream: Stream, bytes: Uint8Array): void {
  try {
    stream.send(bytes)
  } catch (cause) {
    throw natError('NO_REPLY', 'the peer closed the stream before the ping was sent', { cause })
  }
}

/** Resolves to exactly that many bytes. Rejects with `MALFORMED_REPLY` if more arrive, with `NO_REPLY` if the stream ends
 * before, or with the signal's reason. */
function readBytes(stream: Stream, length: number, { signal }: CallOptions): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const bytes = new Uint8Array(length)
    let count = 0
    const done = (): void => {
      stream.removeEventListener('message', read)
      for (const event of ['end', 'close'] as const) stream.removeEventListener(event, ended)
      signal.removeEventListener('abort', aborted)
    }
    const read = ({ data }: { readonly data: { subarray(): Uint8Array } }): void => {
      const more = data.subarray()
      if (count + more.length > length) {
        done()
        reject(natError('MALFORMED_REPLY', 'the peer answered the ping with too many bytes'))
        return
      }
      bytes.set(more, count)
      count += more.length
      if (count < length) return
      done()
      resolve(bytes)
    }
    const ended = (): void => {
      done()
      reject(natError('NO_REPLY', 'the peer closed the stream instead of answering the ping'))
    }
    const aborted = (): void => {
      done()
      reject(signal.reason)
    }
    if (signal.aborted) return aborted()
    signal.addEventListener('abort', aborted, { once: true })
    for (const event of ['end', 'close'] as const) stream.addEventListener(event, ended)
    stream.addEventListener('message', read)
  })
}
