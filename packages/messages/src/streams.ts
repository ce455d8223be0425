import type { Connection, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, type Clock, natError } from '@postern/interface'
import { orAborted } from '@postern/net'

/** How long the other side may take to close its end after we have closed ours, in ms. */
const closeMs = 500

export interface OpenStreamOptions extends CallOptions {
  /** Whether it may go over a relayed connection, whose bytes and time are limited. @default false */
  readonly runOnLimitedConnection?: boolean
}

/** Opens a stream. One that opens after the signal has aborted is reset. Rejects with `UNSUPPORTED`, `NO_REPLY`, or with the
 * signal's reason. */
export async function openStream(
  connection: Connection,
  protocol: string,
  { signal, runOnLimitedConnection = false }: OpenStreamOptions
): Promise<Stream> {
  const opening = connection.newStream(protocol, { signal, runOnLimitedConnection })
  opening.then(
    (stream) => {
      if (signal.aborted) stream.abort(new Error('no call waits for it any more'))
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

/** Whether libp2p says that the other side does not speak the protocol. */
export const isUnsupported = (error: unknown): boolean =>
  error instanceof Error && error.name === 'UnsupportedProtocolError'

/**
 * Closes our end, and waits half a second for the other side to close its own; then resets the stream.
 *
 * A reset at once can undo what was granted: a relay in JavaScript that is still about to close its end forgets the
 * reservation where it cannot.
 */
export async function finishStream(stream: Stream, clock: Clock, { signal }: CallOptions): Promise<void> {
  const closed = new AbortController()
  const close = (): void => closed.abort()
  stream.addEventListener('close', close)
  try {
    await stream.close({ signal })
    if (stream.status !== 'closed') await clock.sleep(closeMs, { signal: anySignal([signal, closed.signal]) })
  } catch {
    // It closed, which is what was waited for, or it never will.
  } finally {
    stream.removeEventListener('close', close)
    stream.abort(new Error('the other side did not close the stream'))
  }
}
