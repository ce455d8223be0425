import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'

/** The protocol in which a relay is asked for a reservation (circuit relay v2, "hop protocol"). */
export const hopProtocol = '/libp2p/circuit/relay/0.2.0/hop'

/** Relays answer with their addresses and a signed voucher, both short. */
export const mostBytes = 16_384

/** HopMessage.Type */
const reserve = 0
const status = 2

/** Status, as far as an answer to RESERVE can carry it. */
export const hopStatus = {
  ok: 100,
  reservationRefused: 200,
  resourceLimitExceeded: 201,
  permissionDenied: 202,
  malformedMessage: 400,
  unexpectedMessage: 401
} as const

/** What a relay answers to RESERVE. */
export interface ReserveReply {
  readonly status: number
  /** Unix time in seconds; undefined where nothing was reserved. */
  readonly expireSeconds: number | undefined
  /** For each relayed connection, as the relay wrote it; 0 or undefined is without limit. */
  readonly limit: { readonly duration: number | undefined; readonly data: number | undefined } | undefined
}

/** `HopMessage { type: RESERVE }` */
export const encodeReserve = (): Uint8Array => new BinaryWriter().tag(1, 0).int32(reserve).finish()

/** Reads the answer to RESERVE. Throws `MALFORMED_REPLY`. What it does not need (peer, addresses, voucher) is passed over. */
export function decodeReserveReply(bytes: Uint8Array): ReserveReply {
  try {
    return readReply(bytes)
  } catch (error) {
    throw natError('MALFORMED_REPLY', 'the relay answered something that is no HopMessage', { cause: error })
  }
}

function readReply(bytes: Uint8Array): ReserveReply {
  let type: number | undefined
  let code: number | undefined
  let expireSeconds: number | undefined
  let limit: ReserveReply['limit']
  eachField(bytes, (field, reader) => {
    if (field === 1) type = reader.int32()
    else if (field === 3) expireSeconds = readExpire(reader.bytes())
    else if (field === 4) limit = readLimit(reader.bytes())
    else if (field === 5) code = reader.int32()
    else return false
    return true
  })
  if (type !== status || code === undefined) throw new Error('no STATUS')
  return { status: code, expireSeconds, limit }
}

function readExpire(bytes: Uint8Array): number | undefined {
  let expire: number | undefined
  eachField(bytes, (field, reader) => {
    if (field !== 1) return false
    expire = Number(reader.uint64())
    return true
  })
  return expire
}

function readLimit(bytes: Uint8Array): NonNullable<ReserveReply['limit']> {
  let duration: number | undefined
  let data: number | undefined
  eachField(bytes, (field, reader) => {
    if (field === 1) duration = reader.uint32()
    else if (field === 2) data = Number(reader.uint64())
    else return false
    return true
  })
  return { duration, data }
}

/** Gives every field of a message to `read`, and passes over those that it does not take. */
function eachField(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (!read(field, reader)) reader.skip(wireType, field)
  }
}
