import { RELAY_V2_HOP_CODEC, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Stream } from '@libp2p/interface'

/** What a peer may send on a stream before its protocol is agreed on: some 100 bytes, and what it sends along. */
const maxNegotiationBytes = 65_536

/** What a peer may send on a request of circuit relay v2: four times a message (maxMessageSize of go-libp2p). */
const maxRelayMessageBytes = 16_384

/** What a peer may send on a stream of identify: the library reads 10 messages of 8 KiB. */
const maxIdentifyBytes = 98_304

/** What a peer may send on a stream of DCUtR: several times the three messages of a round. */
const maxPunchBytes = 65_536

/** Bytes that a peer may send on a stream of each protocol. Other protocols have bounds of their own. */
const maxBytes = new Map<string, number>([
  // As long as there is none.
  ['', maxNegotiationBytes],
  [RELAY_V2_HOP_CODEC, maxRelayMessageBytes],
  [RELAY_V2_STOP_CODEC, maxRelayMessageBytes],
  ['/ipfs/id/1.0.0', maxIdentifyBytes],
  ['/ipfs/id/push/1.0.0', maxIdentifyBytes],
  ['/libp2p/dcutr', maxPunchBytes]
])

/** How to end the bound of each stream that has one. */
const bounds = new WeakMap<Stream, () => void>()

interface Receiver {
  onData(data: { readonly byteLength: number }): void
}

/**
 * Resets a stream on which a peer sends more than the messages of its protocol can have. libp2p keeps up to 4 MiB of each
 * stream on which a message is awaited, also after it has closed its own end, and has no option for it. Idempotent.
 *
 * The methods of a stream that receive are not in its interface; the version is pinned, and a test holds it. Throws where
 * there are none.
 */
export function boundMessages(stream: Stream): void {
  if (bounds.has(stream)) return
  if (!isReceiver(stream)) throw new Error('this version of @libp2p/utils is not known here')
  const receive = stream.onData.bind(stream)
  let { protocol } = stream
  let received = 0
  let isBounded = true

  function check(): void {
    const most = isBounded ? maxBytes.get(protocol) : undefined
    if (most !== undefined && received > most) stream.abort(new Error('more than the messages of the protocol'))
  }
  bounds.set(stream, () => {
    isBounded = false
  })
  stream.onData = (data) => {
    received += data.byteLength
    check()
    // Drops what comes on a stream that was reset.
    receive(data)
  }
  // What came before the protocol was agreed on counts, too.
  Object.defineProperty(stream, 'protocol', {
    configurable: true,
    enumerable: true,
    get: () => protocol,
    set(agreed: string) {
      protocol = agreed
      check()
    }
  })
}

/** The stream carries a relayed connection from here on, whose bytes are no messages. */
export function carriesBytes(stream: Stream): void {
  bounds.get(stream)?.()
}

const isReceiver = (stream: object): stream is Receiver => 'onData' in stream && typeof stream.onData === 'function'
