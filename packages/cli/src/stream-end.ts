import type { Connection, Stream } from '@libp2p/interface'

/**
 * Calls `ended` once a stream of a connection has ended, in both directions. At once where it has ended already: a stream
 * tells its end a single time. A stream may end without an event of its own when its connection closes.
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

/** Whether a stream, or a connection, has told its end already. */
export const hasEnded = ({ status }: Pick<Stream, 'status'>): boolean =>
  status === 'closed' || status === 'aborted' || status === 'reset'
