import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import {
  anySignal,
  type CallOptions,
  type Evidence,
  isNatError,
  type MultiaddrText,
  type NatError,
  natError,
  within
} from '@postern/interface'
import { type Messages, messagesOf, openStream, type Route } from '@postern/libp2p-utils'
import type { AutonatHost } from '../host.js'
import {
  decodeMessage,
  dialRequestProtocol,
  dialStatus,
  encodeMessage,
  type Message,
  maxDataBytes,
  responseStatus
} from '../wire/v2.js'
import type { DialBacks, Expected } from './dial-backs.js'
import type { DialDataBudget } from './dial-data-budget.js'
import { type ListenerArrivals, watchListener } from './listener-arrivals.js'

/** One question to one witness. */
export interface Question {
  readonly host: AutonatHost
  readonly connection: Connection
  readonly address: MultiaddrText
  readonly route: Route
  readonly timeoutMs: number
  /** The IP address at which the peer says that it sees this node; undefined if it has not said so. */
  readonly seenAt: string | undefined
}

/** What the witness claims. Only the nonce proves the claim. */
type Claim = 'reached' | 'not reached'

/** Responses and requests for dial data are only a few bytes long. */
const maxBytes = 1024
/** How long to wait for the response after the nonce arrived, or for the nonce after the response (ms). */
export const graceMs = 1_000
/** How long a connection to another listener may still be accepted after a negative response (ms). The witness sends
 * it later than its dial. */
const acceptMs = 100

/**
 * Asks a witness by AutoNAT v2. The address is reachable only if our nonce arrives over a connection that proves the
 * address, whatever the witness claims. The address is unreachable only if the witness reports that its dial failed.
 *
 * At a listener that is not the node's, no nonce can arrive: the connection itself is the proof. A witness that has
 * reached such a listener reports a failed dial or a failed dial back, since no handshake follows.
 */
export async function ask(
  question: Question,
  dialBacks: DialBacks,
  budget: DialDataBudget,
  call: CallOptions
): Promise<Evidence> {
  const { clock } = question.host
  const listener = watchListener(question, call)
  const expected = dialBacks.expect(question.route)
  const enough = new AbortController()
  const said = converse(question, expected, budget, { signal: anySignal([call.signal, enough.signal]) })
  const politely = async (): Promise<void> => {
    await Promise.race([expected.proof, ...(listener === undefined ? [] : [listener.proof])])
    await clock.sleep(graceMs, { signal: enough.signal })
    enough.abort(natError('NO_REPLY', 'the witness reached the address but sent no response'))
  }
  politely().catch(() => undefined)
  try {
    const claim = await said.catch((error: unknown) => {
      call.signal.throwIfAborted()
      if (isNatError(error)) return error
      throw error
    })
    if (listener !== undefined) return await judgeListener(claim, listener, call)
    // The nonce may arrive after the response, since they use two connections.
    if (claim === 'reached' && !expected.isProven) {
      const late = (): NatError => natError('NO_REPLY', 'the nonce did not arrive')
      await within(clock, graceMs, call, late, () => expected.proof).catch(() => call.signal.throwIfAborted())
    }
    return judge(claim, expected)
  } finally {
    listener?.stop()
    expected.forget()
    enough.abort()
  }
}

/** Concludes from the connections that arrived at a listener that is not the node's. */
async function judgeListener(
  claim: Claim | NatError,
  listener: ListenerArrivals,
  call: CallOptions
): Promise<Evidence> {
  if (!listener.isProven) await listener.wait(claim === 'not reached' ? acceptMs : graceMs, call)
  if (listener.isProven) return { outcome: 'reachable' }
  if (claim === 'not reached') {
    const doubt = listener.doubt()
    return doubt === undefined ? { outcome: 'unreachable' } : { outcome: 'inconclusive', reason: doubt }
  }
  return { outcome: 'inconclusive', reason: claim === 'reached' ? unproven(listener) : claim }
}

const unproven = (listener: ListenerArrivals): NatError =>
  listener.doubt() ??
  natError('WITNESS_UNPROVEN', 'the witness claims that it reached the address, but no connection came from it')

function judge(claim: Claim | NatError, { isProven, unfit }: Expected): Evidence {
  if (isProven) return { outcome: 'reachable' }
  if (claim === 'not reached') return { outcome: 'unreachable' }
  if (claim !== 'reached') return { outcome: 'inconclusive', reason: claim }
  const reason = natError(
    'WITNESS_UNPROVEN',
    unfit ?? 'the witness claims that it reached the address, but no nonce arrived'
  )
  return { outcome: 'inconclusive', reason }
}

async function converse(
  { host, connection, address, timeoutMs }: Question,
  { nonce }: Expected,
  budget: DialDataBudget,
  call: CallOptions
): Promise<Claim> {
  const late = (): NatError => natError('NO_REPLY', `the witness did not answer within ${timeoutMs} ms`)
  return within(host.clock, timeoutMs, call, late, async (bounded) => {
    const stream = await openStream(connection, dialRequestProtocol, bounded)
    const messages = messagesOf(stream, maxBytes, host.clock)
    const reset = (): void => messages.reset(new Error('the question has ended'))
    bounded.signal.addEventListener('abort', reset, { once: true })
    try {
      const request: Message = { kind: 'dial-request', addresses: [multiaddr(address).bytes], nonce }
      await messages.write(encodeMessage(request), bounded)
      let answer = decodeMessage(await messages.read(bounded))
      if (answer.kind === 'dial-data-request') {
        await sendData(messages, connection, answer, budget, bounded)
        answer = decodeMessage(await messages.read(bounded))
      }
      const claim = claimOf(answer)
      await messages.finish(bounded)
      return claim
    } catch (error) {
      reset()
      throw error
    } finally {
      bounded.signal.removeEventListener('abort', reset)
    }
  })
}

/** Sends dial data: "The client transfers these bytes wrapped in DialDataResponse". Their content does not matter. */
async function sendData(
  messages: Messages,
  connection: Connection,
  { index, bytes: asked }: Extract<Message, { kind: 'dial-data-request' }>,
  budget: DialDataBudget,
  call: CallOptions
): Promise<void> {
  if (index !== 0) throw natError('MALFORMED_REPLY', `the witness names address ${index} of a single one`)
  let left = budget.spend(connection.remotePeer.toString(), asked)
  while (left > 0) {
    const size = Math.min(left, maxDataBytes)
    await messages.write(encodeMessage({ kind: 'dial-data-response', data: new Uint8Array(size) }), call)
    left -= size
  }
}

const refusals: Readonly<Record<number, string>> = {
  [responseStatus.internalError]: 'the witness failed (E_INTERNAL_ERROR)',
  [responseStatus.requestRejected]:
    'the witness rejects the request, usually because of its rate limit (E_REQUEST_REJECTED)',
  [responseStatus.dialRefused]: 'the witness does not dial such addresses (E_DIAL_REFUSED)'
}

/** Returns the claim of a response. Throws a NatError if the response says nothing about the address. */
function claimOf(answer: Message): Claim {
  if (answer.kind !== 'dial-response') {
    throw natError('MALFORMED_REPLY', `the witness sent a ${answer.kind} instead of its response`)
  }
  const { status, index, dialStatus: dialled } = answer
  const refusal = refusals[status]
  if (refusal !== undefined) throw natError('WITNESS_REFUSED', refusal)
  // "Implementations MUST discard responses with status codes they do not understand."
  if (status !== responseStatus.ok) throw natError('MALFORMED_REPLY', `the witness answers with status ${status}`)
  if (index !== 0) throw natError('MALFORMED_REPLY', `the witness names address ${index} of a single one`)
  if (dialled === dialStatus.ok) return 'reached'
  if (dialled === dialStatus.dialError) return 'not reached'
  if (dialled === dialStatus.dialBackError) {
    throw natError('WITNESS_UNPROVEN', 'the witness connected to the address but could not deliver the nonce')
  }
  throw natError('MALFORMED_REPLY', `the witness answers with dial status ${dialled}`)
}
