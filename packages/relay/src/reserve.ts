import type { Connection } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { type CallOptions, type ErrorCode, natError } from '@postern/interface'
import { decodeReserveReply, encodeReserve, hopProtocol, hopStatus, mostBytes, type ReserveReply } from './codec.js'

/** What a relay has granted. */
export interface Reservation {
  /** Unix ms. */
  readonly expiresAt: number
  readonly limit: ReserveReply['limit']
}

/**
 * Asks a relay for a reservation, or to renew the one it has given (circuit relay v2, "Reservation").
 *
 * Rejects with `OUT_OF_RESOURCES`, `NOT_AUTHORIZED`, `MALFORMED_REQUEST`, `GATEWAY_FAULT`, `GRANT_INVALID`,
 * `MALFORMED_REPLY`, `UNSUPPORTED`, `NO_REPLY`, or with the signal's reason.
 */
export async function requestReservation(connection: Connection, { signal }: CallOptions): Promise<Reservation> {
  const reply = await exchange(connection, { signal })
  if (reply.status !== hopStatus.ok) throw refusal(reply.status)
  if (reply.expireSeconds === undefined) throw natError('GRANT_INVALID', 'the relay does not say how long it reserves')
  return { expiresAt: reply.expireSeconds * 1000, limit: reply.limit }
}

async function exchange(connection: Connection, { signal }: CallOptions): Promise<ReserveReply> {
  const stream = await connection.newStream(hopProtocol, { signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    const isUnknown = error instanceof Error && error.name === 'UnsupportedProtocolError'
    throw natError(isUnknown ? 'UNSUPPORTED' : 'NO_REPLY', 'the relay opens no stream for it', { cause: error })
  })
  try {
    const messages = lpStream(stream, { maxDataLength: mostBytes })
    await messages.write(encodeReserve(), { signal })
    const reply = await messages.read({ signal })
    return decodeReserveReply(reply.subarray())
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Error && 'code' in error && error.code === 'MALFORMED_REPLY') throw error
    throw natError('NO_REPLY', 'the relay did not answer', { cause: error })
  } finally {
    // One question and one answer: whatever the relay would still send is not waited for.
    stream.abort(new Error('the reservation is over'))
  }
}

function refusal(status: number): Error {
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
