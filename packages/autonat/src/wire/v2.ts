import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'
import { type Fields, type FieldValue, readFields } from '@postern/libp2p-utils'

/** libp2p/specs autonat/autonat-v2.md, "AutoNAT V2 Protocol". */
export const dialRequestProtocol = '/libp2p/autonat/2/dial-request'
export const dialBackProtocol = '/libp2p/autonat/2/dial-back'

/** `DialResponse.ResponseStatus` of the spec. */
export const responseStatus = { internalError: 0, requestRejected: 100, dialRefused: 101, ok: 200 } as const
/** `DialStatus` of the spec. */
export const dialStatus = { unused: 0, dialError: 100, dialBackError: 101, ok: 200 } as const

/** "the `data` field in each individual protobuf is limited to 4096 bytes in length" */
export const maxDataBytes = 4096

/**
 * The messages on a stream of {@link dialRequestProtocol}; each protobuf `Message` holds exactly one. Enumerations are
 * numbers, since a peer may send a value that the spec does not define.
 */
export type Message =
  | { readonly kind: 'dial-request'; readonly addresses: readonly Uint8Array[]; readonly nonce: bigint }
  | { readonly kind: 'dial-response'; readonly status: number; readonly index: number; readonly dialStatus: number }
  | { readonly kind: 'dial-data-request'; readonly index: number; readonly bytes: bigint }
  | { readonly kind: 'dial-data-response'; readonly data: Uint8Array }

const numberOf = { 'dial-request': 1, 'dial-response': 2, 'dial-data-request': 3, 'dial-data-response': 4 } as const

/** Encodes a `Message` of the spec. Omits fields with their default value, as proto3 does. */
export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter().tag(numberOf[message.kind], WireType.LengthDelimited).fork()
  if (message.kind === 'dial-request') {
    for (const address of message.addresses) writer.tag(1, WireType.LengthDelimited).bytes(address)
    writer.tag(2, WireType.Bit64).fixed64(message.nonce)
  } else if (message.kind === 'dial-response') {
    writeUint32(writer, 1, message.status)
    writeUint32(writer, 2, message.index)
    writeUint32(writer, 3, message.dialStatus)
  } else if (message.kind === 'dial-data-request') {
    writeUint32(writer, 1, message.index)
    if (message.bytes !== 0n) writer.tag(2, WireType.Varint).uint64(message.bytes)
  } else writer.tag(1, WireType.LengthDelimited).bytes(message.data)
  return writer.join().finish()
}

function writeUint32(writer: BinaryWriter, field: number, value: number): void {
  if (value !== 0) writer.tag(field, WireType.Varint).uint32(value)
}

/** Decodes a `Message`. Throws a NatError, MALFORMED_REPLY, for bytes that are not one of the four messages. */
export function decodeMessage(bytes: Uint8Array): Message {
  let message: Message | undefined
  const one = (decode: (bytes: Uint8Array) => Message): Fields[number] => ({
    type: WireType.LengthDelimited,
    read: (value) => {
      message = decode(value.bytes())
    }
  })
  readFields(bytes, {
    1: one(decodeDialRequest),
    2: one(decodeDialResponse),
    3: one(decodeDialDataRequest),
    4: one(decodeDialDataResponse)
  })
  if (message === undefined) throw natError('MALFORMED_REPLY', 'the AutoNAT message is empty')
  return message
}

function decodeDialRequest(bytes: Uint8Array): Message {
  const addresses: Uint8Array[] = []
  let nonce = 0n
  readFields(bytes, {
    1: { type: WireType.LengthDelimited, read: (value) => addresses.push(value.bytes()) },
    2: { type: WireType.Bit64, read: (value) => void (nonce = value.fixed64()) }
  })
  return { kind: 'dial-request', addresses, nonce }
}

function decodeDialResponse(bytes: Uint8Array): Message {
  const [status, index, dialled] = decodeUint32s(bytes, 3)
  return { kind: 'dial-response', status, index, dialStatus: dialled }
}

function decodeDialDataRequest(bytes: Uint8Array): Message {
  let [index, size] = [0, 0n]
  readFields(bytes, {
    1: { type: WireType.Varint, read: (value) => void (index = value.uint32()) },
    2: { type: WireType.Varint, read: (value) => void (size = value.uint64()) }
  })
  return { kind: 'dial-data-request', index, bytes: size }
}

function decodeDialDataResponse(bytes: Uint8Array): Message {
  let data: Uint8Array = new Uint8Array()
  readFields(bytes, { 1: { type: WireType.LengthDelimited, read: (value) => void (data = value.bytes()) } })
  return { kind: 'dial-data-response', data }
}

/** Encodes a `DialBack` of the spec, which carries only the nonce. */
export const encodeDialBack = (nonce: bigint): Uint8Array<ArrayBuffer> =>
  new BinaryWriter().tag(1, WireType.Bit64).fixed64(nonce).finish()

/** Returns the nonce of a `DialBack`. Throws a NatError, MALFORMED_REPLY, if there is none. */
export function decodeDialBack(bytes: Uint8Array): bigint {
  let nonce: bigint | undefined
  readFields(bytes, { 1: { type: WireType.Bit64, read: (value: FieldValue) => void (nonce = value.fixed64()) } })
  if (nonce === undefined) throw natError('MALFORMED_REPLY', 'the dial back has no nonce')
  return nonce
}

/** Encodes a `DialBackResponse` of the spec with OK. OK is 0, the default value, so the message has no bytes. */
export const encodeDialBackResponse = (): Uint8Array<ArrayBuffer> => new Uint8Array()

/** Returns the status of a `DialBackResponse`; 0 is OK. Throws a NatError, MALFORMED_REPLY. */
export const decodeDialBackResponse = (bytes: Uint8Array): number => decodeUint32s(bytes, 1)[0]

/** Returns the fields 1 to `count`; a missing field is 0. */
function decodeUint32s(bytes: Uint8Array, count: number): readonly [number, number, number] {
  const values: [number, number, number] = [0, 0, 0]
  const field = (index: 0 | 1 | 2): Fields[number] => ({
    type: WireType.Varint,
    read: (value) => void (values[index] = value.uint32())
  })
  readFields(bytes, count === 1 ? { 1: field(0) } : { 1: field(0), 2: field(1), 3: field(2) })
  return values
}
