import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'
import { readFields } from '@postern/libp2p-utils'

/** libp2p/specs autonat/autonat-v1.md, "AutoNAT Protocol". */
export const protocolV1 = '/libp2p/autonat/1.0.0'

/** `MessageType` and `ResponseStatus.OK` of the spec, "RPC messages". */
const messageType = { dial: 0, dialResponse: 1 } as const
export const statusOkV1 = 0

/** `DialResponse` of the spec. */
export interface DialResponseV1 {
  readonly status: number
  readonly text: string
  /** The multiaddr that the server dialled, in bytes; empty if the server does not report it. */
  readonly address: Uint8Array
}

/**
 * Encodes a `Message` with a `Dial`: our peer id as a multihash, and one address. The message is proto2, so the type is
 * written although it is 0.
 */
export function encodeDialV1(peerId: Uint8Array, address: Uint8Array): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter().tag(1, WireType.Varint).uint32(messageType.dial)
  writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).fork()
  writer.tag(1, WireType.LengthDelimited).bytes(peerId).tag(2, WireType.LengthDelimited).bytes(address)
  return writer.join().join().finish()
}

/** Decodes a `DialResponse`. Throws a NatError, MALFORMED_REPLY, for any other bytes. */
export function decodeDialResponseV1(bytes: Uint8Array): DialResponseV1 {
  let type: number | undefined
  let inner: Uint8Array | undefined
  readFields(bytes, {
    1: { type: WireType.Varint, read: (value) => void (type = value.uint32()) },
    3: { type: WireType.LengthDelimited, read: (value) => void (inner = value.bytes()) }
  })
  if (type !== messageType.dialResponse || inner === undefined) {
    throw natError('MALFORMED_REPLY', 'the AutoNAT v1 message is not a response')
  }
  let status: number | undefined
  let text: Uint8Array = new Uint8Array()
  let address: Uint8Array = new Uint8Array()
  readFields(inner, {
    1: { type: WireType.Varint, read: (value) => void (status = value.uint32()) },
    2: { type: WireType.LengthDelimited, read: (value) => void (text = value.bytes()) },
    3: { type: WireType.LengthDelimited, read: (value) => void (address = value.bytes()) }
  })
  if (status === undefined) throw natError('MALFORMED_REPLY', 'the AutoNAT v1 response has no status')
  return { status, text: new TextDecoder().decode(text), address }
}
