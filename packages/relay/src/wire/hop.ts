import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'
import { readFields } from '@postern/libp2p-utils'

/** The protocol for requesting a reservation (circuit relay v2, "hop protocol"). */
export const hopProtocol = '/libp2p/circuit/relay/0.2.0/hop'

/** An answer contains addresses and a signed voucher, which are both short. */
export const maxBytes = 16_384

/** HopMessage.Type (circuit relay v2, "Protobuf") */
const reserve = 0
const status = 2

/** The values of Status that an answer to RESERVE can have (circuit relay v2, "Status codes and errors"). */
export const hopStatus = {
  ok: 100,
  reservationRefused: 200,
  resourceLimitExceeded: 201,
  permissionDenied: 202,
  malformedMessage: 400,
  unexpectedMessage: 401
} as const

/** The answer of a relay to RESERVE. */
export interface ReserveReply {
  readonly status: number
  /** The end of the reservation, as Unix time in seconds; undefined if the answer contains no reservation. */
  readonly expireSeconds: number | undefined
  /** The limits of each relayed connection, as the relay wrote them; 0 or undefined means no limit. */
  readonly limit: { readonly duration: number | undefined; readonly data: number | undefined } | undefined
}

/** `HopMessage { type: RESERVE }` */
export const encodeReserve = (): Uint8Array => new BinaryWriter().tag(1, 0).int32(reserve).finish()

/** Returns whether these bytes, with their length prefix, are a RESERVE. */
export function isReserve(bytes: Uint8Array): boolean {
  const message = encodeReserve()
  return bytes.length === 1 + message.length && message.every((byte, index) => bytes[1 + index] === byte)
}

/**
 * Decodes the answer to RESERVE. Skips the fields that are not needed (peer, addresses, voucher). Throws
 * `MALFORMED_REPLY`.
 */
export function decodeReserveReply(bytes: Uint8Array): ReserveReply {
  try {
    return readReply(bytes)
  } catch (error) {
    throw natError('MALFORMED_REPLY', 'the answer of the relay is not a HopMessage', { cause: error })
  }
}

function readReply(bytes: Uint8Array): ReserveReply {
  let type: number | undefined
  let code: number | undefined
  let expireSeconds: number | undefined
  let limit: ReserveReply['limit']
  readFields(bytes, {
    1: { type: WireType.Varint, read: (value) => void (type = value.int32()) },
    3: { type: WireType.LengthDelimited, read: (value) => void (expireSeconds = readExpire(value.bytes())) },
    4: { type: WireType.LengthDelimited, read: (value) => void (limit = readLimit(value.bytes())) },
    5: { type: WireType.Varint, read: (value) => void (code = value.int32()) }
  })
  if (type !== status || code === undefined) throw new Error('the message is not a STATUS')
  return { status: code, expireSeconds, limit }
}

function readExpire(bytes: Uint8Array): number | undefined {
  let expire: number | undefined
  readFields(bytes, { 1: { type: WireType.Varint, read: (value) => void (expire = Number(value.uint64())) } })
  return expire
}

function readLimit(bytes: Uint8Array): NonNullable<ReserveReply['limit']> {
  let duration: number | undefined
  let data: number | undefined
  readFields(bytes, {
    1: { type: WireType.Varint, read: (value) => void (duration = value.uint32()) },
    2: { type: WireType.Varint, read: (value) => void (data = Number(value.uint64())) }
  })
  return { duration, data }
}
