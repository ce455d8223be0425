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
  ['/libp2p/circuit/relay/0.2.0/hop', maxRelayMessageBytes],
  ['/libp2p/circuit/relay/0.2.0/stop', maxRelayMessageBytes],
  ['/ipfs/id/1.0.0', maxIdentifyBytes],
  ['/ipfs/id/push/1.0.0', maxIdentifyBytes],
  ['/libp2p/dcutr', maxPunchBytes]
])

/** The property of a limited stream that lifts its limit. Two copies of this package may be installed, so the symbol is
 * global. */
const lift = Symbol.for('@postern/libp2p-utils/lift')

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
  if (Object.hasOwn(stream, lift)) return
  if (!isReceiver(stream)) throw new Error('this version of @libp2p/utils is not known here')
  const receive = stream.onData.bind(stream)
  let { protocol } = stream
  let received = 0
  let isBounded = true

  function check(): void {
    const max = isBounded ? maxBytes.get(protocol) : undefined
    if (max !== undefined && received > max) stream.abort(new Error('more than the messages of the protocol'))
  }
  Object.defineProperty(stream, lift, {
    value: () => {
      isBounded = false
    }
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
  const found: unknown = Reflect.get(stream, lift)
  if (typeof found === 'function') found()
}

const isReceiver = (stream: object): stream is Receiver => 'onData' in stream && typeof stream.onData === 'function'
