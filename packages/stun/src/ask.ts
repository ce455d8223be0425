import {
  abortReason,
  type CallOptions,
  type Clock,
  canonicalAddress,
  isNatError,
  type NatError,
  natError,
  type SharedUdpSocket
} from '@postern/interface'
import { isStunMessage } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import {
  type BindingMessage,
  type BindingRequest,
  decodeBinding,
  encodeBindingRequest,
  headerLength,
  idLength
} from './codec.js'
import { checkMapped } from './plausible.js'
import { waitsFor } from './schedule.js'

/** One request to a server over a shared socket. */
export interface AskOptions {
  /** The clock for the waits. */
  readonly clock: Clock
  /** The socket to ask over. */
  readonly tap: SharedUdpSocket
  /** The server to ask. */
  readonly server: StunAddress
  /** The address and port that the answer must come from.
   * @default the server */
  readonly from?: StunAddress
  /** From which other address or port the server should answer (RFC 5780). */
  readonly change?: BindingRequest['change']
  /** How long to wait after each transmission, in ms.
   * @default the waits of RFC 8489 §6.2.1, 39.5 s in total */
  readonly waitsMs?: readonly number[]
}

/** The answer of a server. */
export interface Answer {
  /** The address of this host as the server sees it. */
  readonly mapped: StunAddress
  /** The other address and port from which the server says it can answer (RFC 5780). */
  readonly other?: StunAddress
  /** The software of the server, shortened to printable ASCII. */
  readonly software?: string
}

const over = abortReason('the question is over')

/** Returns a fresh transaction id. A host that has not seen the request cannot guess it (RFC 8489 §5). */
export const newId = (): Uint8Array => crypto.getRandomValues(new Uint8Array(idLength))

/**
 * Asks a STUN server which address it sees (RFC 8489 §6). Retransmits until an answer with the right transaction id
 * arrives from the right address. Ignores all other datagrams on the socket.
 *
 * Rejects with `NO_REPLY`; with `MALFORMED_REPLY` or `REPLY_TOO_LARGE` if no valid answer came; with `OBSERVER_REFUSED`
 * or `UNSUPPORTED` for an error answer; with `UNTRUSTED_REPLY` for an address that cannot belong to this host; with
 * `UNREACHABLE` if the socket cannot send; or with the signal's reason.
 */
export async function askServer(options: AskOptions, call: CallOptions): Promise<Answer> {
  const { tap, server } = options
  const { mapped, other, software } = await transact(options, call)
  if (mapped === undefined) throw natError('MALFORMED_REPLY', 'not a STUN answer: it tells no address')
  checkMapped(mapped, server, tap.endpoint)
  return {
    mapped,
    ...(other === undefined ? {} : { other }),
    ...(software === undefined ? {} : { software })
  }
}

async function transact(options: AskOptions, { signal }: CallOptions): Promise<BindingMessage> {
  const { clock, tap, server, from = server, change, waitsMs = waitsFor() } = options
  signal.throwIfAborted()
  const id = newId()
  const bytes = encodeBindingRequest({ id, ...(change === undefined ? {} : { change }) })
  const done = new AbortController()
  const answer = Promise.withResolvers<BindingMessage>()
  // It may be rejected before it is awaited; that must not count as an unhandled rejection.
  answer.promise.catch(() => undefined)
  const aborted = (): void => {
    answer.reject(signal.reason)
    done.abort(over)
  }
  signal.addEventListener('abort', aborted, { once: true })
  let complaint: NatError | undefined

  tap.receive((reply, sender) => {
    if (done.signal.aborted || !answers(reply, id)) return
    const isRight = isSame(sender, from)
    if (!isRight && !isSame(sender, server)) return
    try {
      const message = readAnswer(reply)
      if (message === undefined) return
      if (isRight) answer.resolve(message)
      else answer.reject(natError('UNSUPPORTED', 'the STUN server does not answer from the requested address'))
    } catch (error) {
      // A malformed answer may be forged, and the next transmission may get a valid one.
      if (isNatError(error) && (error.code === 'MALFORMED_REPLY' || error.code === 'REPLY_TOO_LARGE')) complaint = error
      else answer.reject(error)
    }
  }, done)
  const sendings = async (): Promise<never> => {
    for (const waitMs of waitsMs) {
      send(tap, bytes, server)
      await clock.sleep(waitMs, { signal: done.signal })
    }
    throw complaint ?? natError('NO_REPLY', `no answer from the STUN server ${server.address} port ${server.port}`)
  }
  try {
    return await Promise.race([answer.promise, sendings()])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', aborted)
    done.abort(over)
  }
}

/** Sends over the socket of the application. Throws `UNREACHABLE` if that throws. */
export function send(tap: SharedUdpSocket, bytes: Uint8Array, to: StunAddress): void {
  try {
    tap.send(bytes, to)
  } catch (cause) {
    throw natError('UNREACHABLE', `the shared socket cannot send to ${to.address}`, { cause })
  }
}

/** Returns whether two addresses are equal. A dual-stack socket reports IPv4 addresses as IPv4-mapped ones. */
export const isSame = (one: StunAddress, other: StunAddress): boolean =>
  one.port === other.port && canonicalAddress(one.address) === canonicalAddress(other.address)

/** Returns whether a datagram is STUN and has this transaction id. */
export const answers = (bytes: Uint8Array, id: Uint8Array): boolean =>
  isStunMessage(bytes) && bytes.subarray(headerLength - idLength, headerLength).every((byte, at) => byte === id[at])

/** Decodes an answer (RFC 8489 §6.3.3 and §6.3.4). Returns undefined for a message that is not an answer. Throws
 * `UNSUPPORTED` or `OBSERVER_REFUSED` for an error, or `MALFORMED_REPLY`. */
export function readAnswer(bytes: Uint8Array): BindingMessage | undefined {
  const message = decodeBinding(bytes)
  if (message === undefined) return undefined
  const { kind, unknown, errorCode, notUnderstood = [] } = message
  if (kind === 'error') {
    const text = `the STUN server answers with error ${errorCode ?? 'of no number'}`
    throw errorCode === 420
      ? natError('UNSUPPORTED', `${text}: it does not know ${notUnderstood.slice(0, 4).map(hex).join(', ')}`)
      : natError('OBSERVER_REFUSED', text)
  }
  if (kind !== 'success') return undefined
  if (unknown.length > 0)
    throw natError('MALFORMED_REPLY', `a STUN answer with unknown attributes: ${unknown.map(hex).join(', ')}`)
  return message
}

const hex = (type: number): string => `0x${type.toString(16).padStart(4, '0')}`
