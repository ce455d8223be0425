import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'

/** Reads the value of a field, by its protobuf type. */
export interface FieldValue {
  /** Reads a length-delimited value. */
  readonly bytes: () => Uint8Array
  /** Reads a varint as an unsigned 32-bit integer. */
  readonly uint32: () => number
  /** Also reads enumerations. */
  readonly int32: () => number
  /** Reads a varint as an unsigned 64-bit integer. */
  readonly uint64: () => bigint
  /** Reads a fixed 64-bit value. */
  readonly fixed64: () => bigint
}

/** The known fields by number: the required wire type, and the function that reads the value. */
export type Fields = Readonly<
  Record<
    number,
    {
      readonly type: WireType
      /** Called for every value of the field. */
      readonly read: (value: FieldValue) => void
    }
  >
>

/**
 * Reads a protobuf message. Calls `read` for every value of a known field, in the order of the bytes, and skips unknown
 * fields, as the protobuf encoding guide requires. Throws a NatError, MALFORMED_REPLY, for bytes that are not a
 * protobuf message and for a known field with the wrong wire type.
 */
export function readFields(bytes: Uint8Array, fields: Fields): void {
  try {
    const reader = new BinaryReader(bytes)
    const value: FieldValue = {
      bytes: () => reader.bytes(),
      uint32: () => reader.uint32(),
      int32: () => reader.int32(),
      uint64: () => BigInt(reader.uint64()),
      fixed64: () => BigInt(reader.fixed64())
    }
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag()
      const field = fields[number]
      // Groups can nest without limit. Neither proto3 nor these messages use them.
      if (type === WireType.StartGroup || type === WireType.EndGroup) throw new Error('groups are not supported')
      if (field === undefined) reader.skip(type, number)
      else if (field.type === type) field.read(value)
      else throw new Error(`field ${number} has wire type ${type}`)
    }
  } catch (cause) {
    throw natError('MALFORMED_REPLY', 'the bytes are not a message of this protocol', { cause })
  }
}
