import type { MessageStream, Stream, StreamMuxerFactory } from '@libp2p/interface'
import { boundMessages } from '@postern/libp2p-utils'

/** Frame types of yamux ("Spec for the yamux protocol", Header). */
const frame = { data: 0, ping: 2 } as const

interface Header {
  readonly type: number
}

interface Muxer {
  sendFrame(header: Header, data?: unknown): boolean
  createStream(...call: readonly unknown[]): Promise<Stream>
  onRemoteStream(stream: Stream): void
}

/** The maximum number of frames without data that are kept for a peer that does not read. Each has 12 bytes, and takes
 * about 300 in memory. */
const maxUnreadFrames = 1024

/**
 * Limits the memory for a peer that does not read. yamux answers every ping, and every frame for an unknown stream, and
 * keeps the answers. A peer that only writes would fill the memory, with 24 bytes for each byte that it sends.
 *
 * While the connection accepts no data, pings are not answered. If more than 1,024 other frames wait for the peer
 * meanwhile, the connection is closed. Data is limited by the windows of its streams, and messages by {@link
 * boundMessages}. Throws for a muxer that is not yamux 8.
 */
export const boundedMuxer =
  <C>(make: (components: C) => StreamMuxerFactory) =>
  (components: C): StreamMuxerFactory => {
    const factory = make(components)
    const create = factory.createStreamMuxer.bind(factory)
    return Object.assign(factory, {
      createStreamMuxer(connection: MessageStream) {
        const muxer = create(connection)
        if (!isMuxer(muxer)) throw new Error('this version of @libp2p/yamux is not known here')
        const send = muxer.sendFrame.bind(muxer)
        let unread = 0
        muxer.sendFrame = (header, data) => {
          if (!connection.writableNeedsDrain) unread = 0
          else if (header.type === frame.ping) return false
          else if (header.type !== frame.data && ++unread > maxUnreadFrames) {
            connection.abort(new Error('the peer sends and does not read'))
            return false
          }
          return send(header, data)
        }
        const createStream = muxer.createStream.bind(muxer)
        muxer.createStream = async (...call) => {
          const stream = await createStream(...call)
          boundMessages(stream)
          return stream
        }
        const onRemoteStream = muxer.onRemoteStream.bind(muxer)
        muxer.onRemoteStream = (stream) => {
          boundMessages(stream)
          onRemoteStream(stream)
        }
        return muxer
      }
    })
  }

const isMuxer = (muxer: object): muxer is Muxer =>
  'sendFrame' in muxer &&
  typeof muxer.sendFrame === 'function' &&
  'createStream' in muxer &&
  typeof muxer.createStream === 'function' &&
  'onRemoteStream' in muxer &&
  typeof muxer.onRemoteStream === 'function'
