import type { Connection, Stream, StreamMuxer } from '@libp2p/interface'

/**
 * Calls `opened` for each stream that the peer opens over a connection, before its protocol is known. libp2p reports
 * streams only when the protocol is negotiated, which a peer can delay.
 *
 * The multiplexer of a connection is not in its public interface; the version is pinned, and a test checks this. Throws
 * if there is none.
 */
export function onStream(connection: Connection, opened: (stream: Stream) => void): void {
  if (!('muxer' in connection) || !isMuxer(connection.muxer))
    throw new Error('this version of libp2p is not known here')
  connection.muxer.addEventListener('stream', ({ detail }) => opened(detail))
}

const isMuxer = (muxer: unknown): muxer is StreamMuxer =>
  typeof muxer === 'object' && muxer !== null && 'addEventListener' in muxer && 'streams' in muxer
