import type { Connection, Stream } from '@libp2p/interface'

/**
 * Calls `ended` once when a stream has ended in both directions; at once if it has ended already, because a stream
 * emits `close` only once. A stream may end without an event when its connection closes.
 */
export function whenEnded(stream: Stream, connection: Connection, ended: () => void): void {
  if (hasEnded(stream) || hasEnded(connection)) return ended()
  const over = (): void => {
    stream.removeEventListener('close', over)
    connection.removeEventListener('close', over)
    ended()
  }
  stream.addEventListener('close', over)
  connection.addEventListener('close', over)
}

/** Returns whether a stream or a connection has ended. */
export const hasEnded = ({ status }: Pick<Stream, 'status'>): boolean =>
  status === 'closed' || status === 'aborted' || status === 'reset'
