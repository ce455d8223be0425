import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'

/** The protocol in which a relay is asked for a reservation (circuit relay v2, "hop protocol"). */
export const hopProtocol = '/libp2p/circuit/relay/0.2.0/hop'

/** Relays answer with their addresses and a signed voucher, both short. */
export const mostBytes = 16_384

/** HopMessage.Type (circuit relay v2, "Protobuf") */
const reserve = 0
const status = 2

/** Status (circuit relay v2, "Status codes and errors"), as far as an answer to RESERVE can carry it. */
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

/** The varint before a message (multiformats unsigned-varint). Throws a RangeError where more bytes are needed, which is how
 * the reader of the stream knows; a peer that goes on for ever gets `REPLY_TOO_LARGE`. */
export function decodeLength(bytes: Uint8Array): number {
  let length = 0
  for (const [index, byte] of bytes.entries()) {
    length += (byte & 0x7f) * 2 ** (7 * index)
    const isLast = byte < 0x80
    if (length > mostBytes || (!isLast && index >= 2)) {
      throw natError('REPLY_TOO_LARGE', `the relay sends more than ${mostBytes} bytes`)
    }
    if (isLast) return length
  }
  throw new RangeError('the length goes on')
}

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
  readFields(bytes, {
    1: { type: WireType.Varint, read: (reader) => void (type = reader.int32()) },
    3: { type: WireType.LengthDelimited, read: (reader) => void (expireSeconds = readExpire(reader.bytes())) },
    4: { type: WireType.LengthDelimited, read: (reader) => void (limit = readLimit(reader.bytes())) },
    5: { type: WireType.Varint, read: (reader) => void (code = reader.int32()) }
  })
  if (type !== status || code === undefined) throw new Error('no STATUS')
  return { status: code, expireSeconds, limit }
}

function readExpire(bytes: Uint8Array): number | undefined {
  let expire: number | undefined
  readFields(bytes, { 1: { type: WireType.Varint, read: (reader) => void (expire = Number(reader.uint64())) } })
  return expire
}

function readLimit(bytes: Uint8Array): NonNullable<ReserveReply['limit']> {
  let duration: number | undefined
  let data: number | undefined
  readFields(bytes, {
    1: { type: WireType.Varint, read: (reader) => void (duration = reader.uint32()) },
    2: { type: WireType.Varint, read: (reader) => void (data = Number(reader.uint64())) }
  })
  return { duration, data }
}

/** How each known field is read, by its number and the wire type that it must have. */
type Fields = Readonly<Record<number, { readonly type: WireType; readonly read: (reader: BinaryReader) => void }>>

/** Known fields in any order, the last of each counts, and unknown ones are skipped, as protobuf wants it. Throws for
 * everything else. */
function readFields(bytes: Uint8Array, fields: Fields): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    const field = fields[number]
    // Groups nest without end, and neither proto3 nor these messages have any.
    if (type === WireType.StartGroup || type === WireType.EndGroup) throw new Error('a group')
    if (field === undefined) reader.skip(type, number)
    else if (field.type === type) field.read(reader)
    else throw new Error(`field ${number} has wire type ${type}`)
  }
}
