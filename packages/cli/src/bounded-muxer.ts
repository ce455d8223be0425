import type { MessageStream, Stream, StreamMuxerFactory } from '@libp2p/interface'
import { boundMessages } from './stream-messages.js'

/** The frames of yamux that carry no data of a stream ("Spec for the yamux protocol", Header). */
const frame = { data: 0, ping: 2 } as const

interface Header {
  readonly type: number
}

interface Muxer {
  sendFrame(header: Header, data?: unknown): boolean
  createStream(...call: readonly unknown[]): Promise<Stream>
  onRemoteStream(stream: Stream): void
}

/** What a peer that does not read may have sent to it besides data: 12 bytes each, and some 300 in memory. */
const maxUnreadFrames = 1024

/**
 * Bounds what is kept for a peer that does not read. yamux answers every ping and every frame for a stream that is not there,
 * and keeps the answers: a peer that only writes would fill the memory, 24 bytes for each that it sends.
 *
 * While the connection takes nothing, pings stay unanswered; a peer that has more than 1,024 other frames sent to it
 * meanwhile loses the connection. Data is bounded by the windows of its streams, and messages as {@link boundMessages} says.
 * Throws for a muxer that is not yamux 8.
 */
export const boundedMuxer =
  <C>(make: (components: C) => StreamMuxerFactory) =>
  (components: C): StreamMuxerFactory => {
    const factory = make(components)
    const create = factory.createStreamMuxer.bind(factory)
    return Object.assign(factory, {
      createStreamMuxer(connection: MessageStream) {
        const muxer = create(connection)
        if (!isMuxer(muxer)) throw new Error('this version of @chainsafe/libp2p-yamux is not known here')
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
