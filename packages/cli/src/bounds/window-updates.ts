import type { Stream } from '@libp2p/interface'

/** A stream of @libp2p/yamux 8. */
interface YamuxStream {
  readonly state: number
  /** The size of the receive window, and how much of it the peer may still fill, in bytes. */
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** The states in which a window update opens or accepts the stream. */
const opening: ReadonlySet<number> = new Set([0, 2])

/**
 * Has a stream of yamux tell its peer about a free window only when half of it is used, as the implementations in Go
 * do. @libp2p/yamux does so after each frame of data, which costs both sides one more frame, with its encryption and
 * system calls, for each one. The peer never waits for an update that is not sent: it may still fill the other half.
 * Throws for a stream that is not of @libp2p/yamux 8.
 */
export function spareWindowUpdates(stream: Stream): void {
  if (!isYamuxStream(stream)) throw new Error('this version of @libp2p/yamux is not known here')
  const send = stream.sendWindowUpdate.bind(stream)
  stream.sendWindowUpdate = () => {
    const used = stream.recvWindow - stream.recvWindowCapacity
    if (used * 2 >= stream.recvWindow || opening.has(stream.state)) send()
  }
}

const isYamuxStream = (stream: object): stream is YamuxStream =>
  'state' in stream &&
  'recvWindow' in stream &&
  'recvWindowCapacity' in stream &&
  'sendWindowUpdate' in stream &&
  typeof stream.sendWindowUpdate === 'function'
