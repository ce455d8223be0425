import { randomBytes } from 'node:crypto'
import {
  type CallOptions,
  canonicalAddress,
  type Clock,
  type DatagramTap,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import type { StunAddress } from './address-codec.js'
import {
  type BindingMessage,
  type BindingRequest,
  decodeBinding,
  encodeBindingRequest,
  headerLength,
  idLength,
  isStunMessage
} from './codec.js'
import { checkMapped } from './plausible.js'
import { waitsFor } from './schedule.js'

/** One question to a server over a socket that somebody lends. */
export interface AskOptions {
  readonly clock: Clock
  readonly tap: DatagramTap
  readonly server: StunAddress
  /** Where the answer has to come from.
   * @default the server */
  readonly from?: StunAddress
  /** What to ask beyond the address that is seen (RFC 5780). */
  readonly change?: BindingRequest['change']
  /** How long to wait after each sending, in ms.
   * @default those of RFC 8489 §6.2.1, 39.5 s in all */
  readonly waitsMs?: readonly number[]
}

/** What a server answered. */
export interface Answer {
  /** Our address as the server sees it. */
  readonly mapped: StunAddress
  /** The other address and port that it says it can answer from (RFC 5780). */
  readonly other?: StunAddress
  readonly software?: string
}

/** Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('the question is over')

/** Fresh for each question: who has not seen it cannot answer (RFC 8489 §5). */
export const newId = (): Uint8Array => new Uint8Array(randomBytes(idLength))

/**
 * Asks a STUN server which address it sees (RFC 8489 §6): sends until an answer with our transaction id comes from where it
 * has to come from. Every other datagram on the socket is left to whoever it is for.
 *
 * Rejects with `NO_REPLY`; `MALFORMED_REPLY` or `REPLY_TOO_LARGE` where nothing better came; `OBSERVER_REFUSED` or
 * `UNSUPPORTED` for an error that the server answers; `UNTRUSTED_REPLY` for an address that cannot be ours; or the
 * signal's reason.
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
  // Nobody may be waiting yet when it is rejected.
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
      else
        answer.reject(natError('UNSUPPORTED', 'the STUN server does not answer from the address that it was asked to'))
    } catch (error) {
      // What breaks the protocol may be forged, or be repaired by the next sending.
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

/** The socket is somebody else's: what it throws is told in our words. */
export function send(tap: DatagramTap, bytes: Uint8Array, to: StunAddress): void {
  try {
    tap.send(bytes, to)
  } catch (cause) {
    throw natError('UNREACHABLE', `the socket that was lent cannot send to ${to.address}`, { cause })
  }
}

/** A dual-stack socket tells IPv4 addresses as IPv4-mapped ones. */
export const isSame = (one: StunAddress, other: StunAddress): boolean =>
  one.port === other.port && canonicalAddress(one.address) === canonicalAddress(other.address)

/** Whether a datagram is STUN and has this transaction id. */
export const answers = (bytes: Uint8Array, id: Uint8Array): boolean =>
  isStunMessage(bytes) && bytes.subarray(headerLength - idLength, headerLength).every((byte, at) => byte === id[at])

/** RFC 8489 §6.3.3 and §6.3.4. Undefined for what answers nothing. */
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
