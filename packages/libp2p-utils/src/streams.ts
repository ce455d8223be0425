import type { Connection, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, type Clock, natError, orAborted } from '@postern/interface'

/** How long the peer may take to close its end after we have closed ours, in milliseconds. */
const closeMs = 500

/** Options of {@link openStream}. */
export interface OpenStreamOptions extends CallOptions {
  /** Whether the stream may use a limited (relayed) connection. @default false */
  readonly runOnLimitedConnection?: boolean
}

/**
 * Opens a stream. If the stream opens after the signal aborted, it is reset. Rejects with `UNSUPPORTED` if the peer
 * does not speak the protocol, with `NO_REPLY` if the stream cannot be opened, or with the signal's reason.
 */
export async function openStream(
  connection: Connection,
  protocol: string,
  { signal, runOnLimitedConnection = false }: OpenStreamOptions
): Promise<Stream> {
  const opening = connection.newStream(protocol, { signal, runOnLimitedConnection })
  opening.then(
    (stream) => {
      if (signal.aborted) stream.abort(new Error('the caller no longer waits for this stream'))
    },
    () => undefined
  )
  try {
    return await orAborted(opening, { signal })
  } catch (error) {
    signal.throwIfAborted()
    if (isUnsupported(error)) throw natError('UNSUPPORTED', `the peer does not speak ${protocol}`, { cause: error })
    throw natError('NO_REPLY', `no stream could be opened for ${protocol}`, { cause: error })
  }
}

/** Returns whether the error is libp2p's report that the peer does not speak the protocol. */
export const isUnsupported = (error: unknown): boolean =>
  error instanceof Error && error.name === 'UnsupportedProtocolError'

/**
 * Closes our end and waits up to half a second for the peer to close its end; then resets the stream. Never rejects.
 *
 * An immediate reset could undo what the peer has just granted: a js-libp2p relay drops the reservation if it cannot
 * close its end of the stream.
 */
export async function finishStream(stream: Stream, clock: Clock, { signal }: CallOptions): Promise<void> {
  const closed = new AbortController()
  const close = (): void => closed.abort()
  stream.addEventListener('close', close)
  try {
    await stream.close({ signal })
    if (stream.status !== 'closed') await clock.sleep(closeMs, { signal: anySignal([signal, closed.signal]) })
  } catch {
    // Either the stream has closed, or it cannot be closed cleanly; the reset below covers both.
  } finally {
    stream.removeEventListener('close', close)
    stream.abort(new Error('the other side did not close the stream'))
  }
}
