import type { Connection, Stream, StreamMuxer } from '@libp2p/interface'

/**
 * Calls `opened` for each stream that the peer opens over a connection, before its protocol is known. libp2p tells of
 * them when the protocol is agreed on, which a peer can put off.
 *
 * The multiplexer of a connection is not in its interface; the version is pinned, and a test holds it. Throws where there
 * is none.
 */
export function onStream(connection: Connection, opened: (stream: Stream) => void): void {
  if (!('muxer' in connection) || !isMuxer(connection.muxer))
    throw new Error('this version of libp2p is not known here')
  connection.muxer.addEventListener('stream', ({ detail }) => opened(detail))
}

const isMuxer = (muxer: unknown): muxer is StreamMuxer =>
  typeof muxer === 'object' && muxer !== null && 'addEventListener' in muxer && 'streams' in muxer
