import type { Connection, Stream } from '@libp2p/interface'
import { abortReason, anySignal, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import { decodeLength } from '@postern/libp2p-utils'
import { lifetimeOf } from '../client/lifetime.js'
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
  /** Resets the stream of a RESERVE that has no answer. The transport cannot be cancelled otherwise, and would keep other
   * relays waiting for a silent one. */
  cancel(): void
  /** Stops listening in on new streams. */
  stop(): void
}

const cancelled = abortReason('the reservation is no longer waited for')

/**
 * Reads along what relays answer to RESERVE on streams that are opened on these connections from now on. Resets a stream
 * when its relay refuses, answers before it is asked, or sends more than 16 KiB: the transport alone decodes a length
 * prefix without an end for seconds.
 *
 * The receiving method of a stream is not in its public interface. Without it, nothing is overheard.
 */
export function overhearReserve(connections: readonly Connection[]): OverheardReserve {
  let heard: Outcome | undefined
  const controller = new AbortController()
  const restored = connections.map((connection) => {
    const { newStream } = connection
    const open: Connection['newStream'] = async (protocols, options) => {
      if (protocols !== hopProtocol) return newStream.call(connection, protocols, options)
      // Without a signal, libp2p has a time limit of its own.
      const bounded = options?.signal && { ...options, signal: anySignal([options.signal, controller.signal]) }
      const stream = await newStream.call(connection, protocols, bounded ?? options)
      awaitReserve(stream, controller.signal, (outcome) => (heard = outcome))
      return stream
    }
    connection.newStream = open
    return () => {
      if (connection.newStream === open) connection.newStream = newStream
    }
  })
  return {
    outcome: () => heard,
    cancel: () => controller.abort(cancelled),
    stop: () => {
      for (const restore of restored) restore()
    }
  }
}

type Hear = (outcome: Outcome) => void

/** Follows the stream if its first message is a RESERVE. CONNECT has the same protocol. */
function awaitReserve(stream: Stream, signal: AbortSignal, hear: Hear): void {
  const send = stream.send.bind(stream)
  stream.send = (data) => {
    stream.send = send
    if (isReserve(data.subarray())) followAnswer(stream, signal, hear)
    return send(data)
  }
}

function followAnswer(stream: Stream, signal: AbortSignal, hear: Hear): void {
  const cancel = (): void => stream.abort(cancelled)
  if (signal.aborted) return cancel()
  signal.addEventListener('abort', cancel, { once: true })
  if (!isReceiver(stream)) return
  const receiver: Stream & Receiver = stream
  const receive = stream.onData.bind(stream)
  let received: Uint8Array = new Uint8Array(0)

  function end(outcome: Outcome): void {
    receiver.onData = receive
    signal.removeEventListener('abort', cancel)
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

/** Returns the error with which the transport could not listen, or a better one from the answer of the relay. */
export function reasonOf({ reply, failure }: Partial<Outcome>, error: unknown, clock: Clock): unknown {
  if (reply === undefined) return failure ?? error
  try {
    lifetimeOf(reply.expireSeconds, clock)
    return error
  } catch (invalid) {
    return invalid
  }
}

/** Returns the error for a relay that grants a reservation to this package, but not to the transport. */
export const refusedTransport = (cause: unknown): NatError =>
  natError('NO_REPLY', 'the relay granted a reservation, but not when circuitRelayTransport() requested one', { cause })

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
