import type { Connection, PeerStore } from '@libp2p/interface'
import { type CallOptions, type Clock, natError, orAborted, within } from '@postern/interface'

/** The options of {@link keepConnected}. */
export interface KeepConnectedOptions extends CallOptions {
  /** The clock of the time limit and of the delays. */
  readonly clock: Clock
  /** Spreads each delay by up to 20 % in both directions; returns a number from 0 to 1.
   * @default none: the delays are exact */
  readonly random?: () => number
  /** Time limit of `connect` (ms). */
  readonly connectMs: number
  /** Finds or dials the connection. */
  readonly connect: (call: CallOptions) => Promise<Connection>
  /** Resolves when the connection is lost; {@link holdConnection} does. */
  readonly hold: (connection: Connection, call: CallOptions) => Promise<void>
  /** A connection of less than this duration counts as a failure (ms).
   * @default 0 */
  readonly minHeldMs?: number
  /** Returns the delay before the next attempt (ms). `failures` is the number of consecutive failures, and 0 after a
   * connection was lost. */
  readonly delayMs: (failures: number) => number
  /** Called when a connection was lost. */
  readonly onLost?: () => void
  /** Called when `connect` or `hold` has rejected, with the delay before the next attempt (ms). */
  readonly onFailed: (error: unknown, delayMs: number) => void
}

/**
 * Connects to a peer and reconnects when the connection is lost. Resolves when the signal aborts; a failed attempt is
 * repeated.
 */
export async function keepConnected(options: KeepConnectedOptions): Promise<void> {
  const { clock, signal, connect, connectMs, hold, minHeldMs = 0, delayMs, random, onLost, onFailed } = options
  const late = (): Error => natError('NO_REPLY', `not connected within ${connectMs} ms`)
  let failures = 0
  while (!signal.aborted) {
    let delay: number
    try {
      const connection = await within(clock, connectMs, { signal }, late, connect)
      const startMs = clock.monotonicMs()
      await hold(connection, { signal })
      if (signal.aborted) return
      failures = clock.monotonicMs() - startMs >= minHeldMs ? 0 : failures + 1
      delay = delayMs(failures)
      onLost?.()
    } catch (error) {
      if (signal.aborted) return
      failures++
      delay = delayMs(failures)
      onFailed(error, delay)
    }
    const factor = random === undefined ? 1 : 0.8 + 0.4 * random()
    if (delay > 0) await clock.sleep(delay * factor, { signal }).catch(() => undefined)
  }
}

/** Tagged peers have this value, of at most 100: the connection manager closes connections to other peers first. */
const tagValue = 50

/**
 * Tags the peer of a connection while the connection is open, so that the connection manager closes others first.
 * Resolves when the connection has closed. Rejects with the signal's reason, or if the peer store fails.
 *
 * @param tag - the name of the tag, which no other caller may use for this peer
 */
export async function holdConnection(
  peerStore: Pick<PeerStore, 'merge'>,
  tag: string,
  connection: Connection,
  call: CallOptions
): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const close = (): void => resolve()
  connection.addEventListener('close', close)
  try {
    await peerStore.merge(connection.remotePeer, { tags: { [tag]: { value: tagValue } } })
    if (connection.status === 'open') await orAborted(closed, call)
  } finally {
    connection.removeEventListener('close', close)
    await peerStore.merge(connection.remotePeer, { tags: { [tag]: undefined } }).catch(() => undefined)
  }
}
