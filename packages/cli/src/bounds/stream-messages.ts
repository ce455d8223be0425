import { RELAY_V2_HOP_CODEC, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Stream } from '@libp2p/interface'

/** The maximum number of bytes on a stream before its protocol is negotiated: that takes about 100 bytes, and data may
 * follow. */
const maxNegotiationBytes = 65_536

/** The maximum number of bytes of a circuit relay v2 request: four messages (maxMessageSize of go-libp2p). */
const maxRelayMessageBytes = 16_384

/** The maximum number of bytes on an identify stream: the library reads 10 messages of 8 KiB. */
const maxIdentifyBytes = 98_304

/** The maximum number of bytes on a DCUtR stream: several times the three messages of a round. */
const maxPunchBytes = 65_536

/** The maximum number of bytes by protocol. Other protocols have their own limits. */
const maxBytes = new Map<string, number>([
  // While no protocol is negotiated.
  ['', maxNegotiationBytes],
  [RELAY_V2_HOP_CODEC, maxRelayMessageBytes],
  [RELAY_V2_STOP_CODEC, maxRelayMessageBytes],
  ['/ipfs/id/1.0.0', maxIdentifyBytes],
  ['/ipfs/id/push/1.0.0', maxIdentifyBytes],
  ['/libp2p/dcutr', maxPunchBytes]
])

/** The functions that lift the limit of each limited stream. */
const bounds = new WeakMap<Stream, () => void>()

interface Receiver {
  onData(data: { readonly byteLength: number }): void
}

/**
 * Resets a stream if the peer sends more than the messages of its protocol can have. libp2p buffers up to 4 MiB of each
 * stream on which a message is awaited, even after it has closed its own end, without an option to limit it.
 * Idempotent.
 *
 * The receiving method of a stream is not in its public interface; the version is pinned, and a test checks this.
 * Throws if there is none.
 */
export function boundMessages(stream: Stream): void {
  if (bounds.has(stream)) return
  if (!isReceiver(stream)) throw new Error('this version of @libp2p/utils is not known here')
  const receive = stream.onData.bind(stream)
  let { protocol } = stream
  let received = 0
  let isBounded = true

  function check(): void {
    const max = isBounded ? maxBytes.get(protocol) : undefined
    if (max !== undefined && received > max) stream.abort(new Error('more than the messages of the protocol'))
  }
  bounds.set(stream, () => {
    isBounded = false
  })
  stream.onData = (data) => {
    received += data.byteLength
    check()
    // On a stream that was reset, this drops the data.
    receive(data)
  }
  // Data that arrived before the protocol was negotiated counts too.
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

/** Lifts the limit of a stream that carries a relayed connection from now on. */
export function carriesBytes(stream: Stream): void {
  bounds.get(stream)?.()
}

const isReceiver = (stream: object): stream is Receiver => 'onData' in stream && typeof stream.onData === 'function'
