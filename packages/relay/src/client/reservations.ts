import type { Connection } from '@libp2p/interface'
import { type CallOptions, type Clock, type ErrorCode, type NatError, natError, within } from '@postern/interface'
import { messagesOf, openStream } from '@postern/libp2p-utils'
import { decodeReserveReply, encodeReserve, hopProtocol, hopStatus, maxBytes, type ReserveReply } from '../wire/hop.js'
import { lifetimeOf } from './lifetime.js'

/** A granted reservation. */
export interface Reservation {
  /** The lifetime from the time of the answer, in milliseconds. */
  readonly lifetimeMs: number
  /** The limits of each relayed connection, as the relay wrote them. */
  readonly limit: ReserveReply['limit']
}

/** How long a relay may take to answer a request for a reservation, in milliseconds. It decides alone, so this allows for
 * a slow network only. */
export const answerMs = 10_000

/**
 * Requests a reservation at a relay, or renews the existing one (circuit relay v2, "Reservation").
 *
 * Rejects with `OUT_OF_RESOURCES`, `NOT_AUTHORIZED`, `MALFORMED_REQUEST`, `GATEWAY_FAULT`, `GRANT_INVALID`,
 * `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNSUPPORTED`, `NO_REPLY`, or with the signal's reason.
 *
 * @param limitMs - how long the relay may still take to answer, in ms
 */
export async function requestReservation(
  connection: Connection,
  clock: Clock,
  { signal }: CallOptions,
  limitMs: number = answerMs
): Promise<Reservation> {
  const late = (): NatError => natError('NO_REPLY', `the relay did not answer within ${answerMs} ms`)
  return within(clock, limitMs, { signal }, late, async (call) => {
    const reply = await exchange(connection, clock, call)
    const refusal = refusalOf(reply.status)
    if (refusal !== undefined) throw refusal
    return { lifetimeMs: lifetimeOf(reply.expireSeconds, clock), limit: reply.limit }
  })
}

async function exchange(connection: Connection, clock: Clock, call: CallOptions): Promise<ReserveReply> {
  const messages = messagesOf(await openStream(connection, hopProtocol, call), maxBytes, clock)
  try {
    await messages.write(encodeReserve(), call)
    const reply = decodeReserveReply(await messages.read(call))
    if (reply.status === hopStatus.ok) await messages.finish(call)
    else messages.reset(new Error('the relay refused'))
    return reply
  } catch (error) {
    messages.reset(new Error('the reservation failed'))
    throw error
  }
}

/** Returns the error for the status of an answer to RESERVE; undefined if the relay has granted. */
export function refusalOf(status: number): NatError | undefined {
  if (status === hopStatus.ok) return undefined
  const [code, what] = refusals.get(status) ?? ['GATEWAY_FAULT', 'refused']
  return natError(code, `the relay ${what} (status ${status})`)
}

const refusals: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map([
  [hopStatus.reservationRefused, ['OUT_OF_RESOURCES', 'has no room for another reservation']],
  [hopStatus.resourceLimitExceeded, ['OUT_OF_RESOURCES', 'has reached a limit']],
  [hopStatus.permissionDenied, ['NOT_AUTHORIZED', 'does not serve this peer']],
  [hopStatus.malformedMessage, ['MALFORMED_REQUEST', 'did not understand the request']],
  [hopStatus.unexpectedMessage, ['MALFORMED_REQUEST', 'did not expect the request']]
])
