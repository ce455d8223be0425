import type { Connection, Stream } from '@libp2p/interface'
import { isNatError, type NatError, natError } from '@postern/interface'
import { decodeLength } from '@postern/libp2p-utils'
import { refusalOf } from '../client/reservations.js'
import { decodeReserveReply, hopProtocol, isReserve, maxBytes, type ReserveReply } from '../wire/hop.js'

/** The answer of a relay to RESERVE: a grant, or the error for a refusal or an invalid answer. */
export type Outcome =
  | { readonly reply: ReserveReply; readonly failure?: never }
  | { readonly reply?: never; readonly failure: NatError }

/** What a relay answers to the RESERVE of the transport, which keeps neither the limits nor the reason of a refusal. */
export interface OverheardReserve {
  /** Returns the last answer; undefined if none was overheard. */
  outcome(): Outcome | undefined
  /** Stops listening in on new streams. */
  stop(): void
}

/**
 * Reads along what relays answer to RESERVE on streams that are opened on these connections from now on. Resets a stream
 * whose relay refuses, talks before it is asked, or sends more than 16 KiB: the transport alone would wait until its own
 * time limit for a relay that does not close its end, and decodes a length prefix without an end for seconds.
 *
 * The receiving method of a stream is not in its public interface. Without it, nothing is overheard.
 */
export function overhearReserve(connections: readonly Connection[]): OverheardReserve {
  let heard: Outcome | undefined
  const restored = connections.map((connection) => {
    const { newStream } = connection
    const open: Connection['newStream'] = async (protocols, options) => {
      const stream = await newStream.call(connection, protocols, options)
      if (stream.protocol === hopProtocol) awaitReserve(stream, (outcome) => (heard = outcome))
      return stream
    }
    connection.newStream = open
    return () => {
      if (connection.newStream === open) connection.newStream = newStream
    }
  })
  return {
    outcome: () => heard,
    stop: () => {
      for (const restore of restored) restore()
    }
  }
}

type Hear = (outcome: Outcome) => void

/** Follows the stream if its first message is a RESERVE. CONNECT has the same protocol. */
function awaitReserve(stream: Stream, hear: Hear): void {
  const send = stream.send.bind(stream)
  stream.send = (data) => {
    stream.send = send
    if (isReserve(data.subarray())) followAnswer(stream, hear)
    return send(data)
  }
}

function followAnswer(stream: Stream, hear: Hear): void {
  if (!isReceiver(stream)) return
  const receiver: Stream & Receiver = stream
  const receive = stream.onData.bind(stream)
  let received: Uint8Array = new Uint8Array(0)

  function end(outcome: Outcome): void {
    receiver.onData = receive
    hear(outcome)
    if (outcome.failure !== undefined) stream.abort(outcome.failure)
  }
  if (stream.readBufferLength > 0) {
    return end({ failure: natError('MALFORMED_REPLY', 'the relay answered before it was asked') })
  }
  receiver.onData = (data) => {
    received = concat(received, data.subarray())
    const outcome = readAnswer(received)
    if (outcome !== undefined) end(outcome)
    // On a stream that was reset, this drops the data.
    receive(data)
  }
}

/** Returns the answer in the bytes of a stream; undefined while it is incomplete. */
function readAnswer(bytes: Uint8Array): Outcome | undefined {
  try {
    const length = decodeLength(bytes, maxBytes)
    const begin = 1 + bytes.findIndex((byte) => byte < 0x80)
    if (bytes.length < begin + length) return undefined
    const reply = decodeReserveReply(bytes.subarray(begin, begin + length))
    const failure = refusalOf(reply.status)
    return failure === undefined ? { reply } : { failure }
  } catch (error) {
    return isNatError(error) ? { failure: error } : undefined
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

interface Receiver {
  onData(data: Received): void
}

interface Received {
  subarray(): Uint8Array
}

const isReceiver = (stream: object): stream is Receiver => 'onData' in stream && typeof stream.onData === 'function'
