import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'

/** Reads the value of a field. */
export interface FieldValue {
  readonly bytes: () => Uint8Array
  readonly uint32: () => number
  /** Enumerations. */
  readonly int32: () => number
  readonly uint64: () => bigint
  readonly fixed64: () => bigint
}

/** How each known field is read, by its number and the wire type that it must have. */
export type Fields = Readonly<Record<number, { readonly type: WireType; readonly read: (value: FieldValue) => void }>>

/**
 * Reads a protobuf message: known fields in any order, the last of each counts, and unknown ones are skipped, as
 * protobuf wants it. Throws a NatError, MALFORMED_REPLY, for bytes that are none, and for a known field of another type.
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
      // Groups nest without end, and neither proto3 nor these messages have any.
      if (type === WireType.StartGroup || type === WireType.EndGroup) throw new Error('a group')
      if (field === undefined) reader.skip(type, number)
      else if (field.type === type) field.read(value)
      else throw new Error(`field ${number} has wire type ${type}`)
    }
  } catch (cause) {
    throw natError('MALFORMED_REPLY', 'bytes that are no message of the protocol', { cause })
  }
}
