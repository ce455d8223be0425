import type { Connection } from '@libp2p/interface'
import { type CallOptions, type Clock, type ErrorCode, type NatError, natError } from '@postern/interface'
import { messagesOf, openStream } from '@postern/messages'
import { within } from '@postern/net'
import { decodeReserveReply, encodeReserve, hopProtocol, hopStatus, mostBytes, type ReserveReply } from './codec.js'

/** What a relay has granted. */
export interface Reservation {
  /** From the moment of the answer. */
  readonly lifetimeMs: number
  readonly limit: ReserveReply['limit']
}

/** How long a relay may take, in ms. It has nothing to do but to look into its book. */
const answerMs = 10_000

/** How long a grant is believed, in ms. Relays grant an hour or two, and tell when it ends by their clock: where ours is
 * behind, that seems to be later than it is. More renewals than needed cost little. */
const mostLifetimeMs = 2 * 3_600_000

/**
 * Asks a relay for a reservation, or to renew the one it has given (circuit relay v2, "Reservation").
 *
 * Rejects with `OUT_OF_RESOURCES`, `NOT_AUTHORIZED`, `MALFORMED_REQUEST`, `GATEWAY_FAULT`, `GRANT_INVALID`,
 * `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNSUPPORTED`, `NO_REPLY`, or with the signal's reason.
 */
export async function requestReservation(
  connection: Connection,
  clock: Clock,
  { signal }: CallOptions
): Promise<Reservation> {
  const late = (): NatError => natError('NO_REPLY', `the relay did not answer within ${answerMs} ms`)
  return within(clock, answerMs, { signal }, late, async (call) => {
    const reply = await exchange(connection, clock, call)
    if (reply.status !== hopStatus.ok) throw refusal(reply.status)
    return { lifetimeMs: lifetimeOf(reply.expireSeconds, clock), limit: reply.limit }
  })
}

async function exchange(connection: Connection, clock: Clock, call: CallOptions): Promise<ReserveReply> {
  const messages = messagesOf(await openStream(connection, hopProtocol, call), mostBytes, clock)
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

function lifetimeOf(expireSeconds: number | undefined, clock: Clock): number {
  if (expireSeconds === undefined) throw natError('GRANT_INVALID', 'the relay does not say how long it reserves')
  const lifetimeMs = expireSeconds * 1000 - clock.wallMs()
  if (lifetimeMs <= 0) {
    throw natError(
      'GRANT_INVALID',
      'the reservation is over already, if the clocks of the relay and this host are right'
    )
  }
  return Math.min(lifetimeMs, mostLifetimeMs)
}

function refusal(status: number): NatError {
  const [code, what] = refusals.get(status) ?? ['GATEWAY_FAULT', 'refused']
  return natError(code, `the relay ${what} (status ${status})`)
}

const refusals: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map([
  [hopStatus.reservationRefused, ['OUT_OF_RESOURCES', 'has no place for another reservation']],
  [hopStatus.resourceLimitExceeded, ['OUT_OF_RESOURCES', 'has reached a limit']],
  [hopStatus.permissionDenied, ['NOT_AUTHORIZED', 'does not serve this peer']],
  [hopStatus.malformedMessage, ['MALFORMED_REQUEST', 'did not understand the request']],
  [hopStatus.unexpectedMessage, ['MALFORMED_REQUEST', 'did not expect the request']]
])
