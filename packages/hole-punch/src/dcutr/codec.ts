import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { natError } from '@postern/interface'
import { readFields } from '@postern/libp2p-utils'
import type { Mapping } from '../nat/mapping.js'

/** libp2p/specs relay/DCUtR.md */
export const dcutrProtocol = '/libp2p/dcutr'

/** "Implementations SHOULD refuse (encoded) RPC messages … larger than 4 KiB" */
export const maxBytes = 4096

/** More addresses than a peer prepares ports; further ones are ignored. */
const maxAddresses = 32

/** `HolePunch.Type` of the spec. */
const typeOf = { connect: 100, sync: 300 } as const

const mappingNumbers: Readonly<Record<Mapping, number>> = {
  'endpoint-independent': 1,
  'address-and-port-dependent': 2
}

/** `HolePunch` of the spec. */
export type Message =
  | {
      readonly kind: 'connect'
      /** Multiaddrs in bytes. They are not validated. */
      readonly addresses: readonly Uint8Array[]
      /**
       * How the sender's NAT maps ports, if known. Field 1001 is not part of the spec; other implementations ignore it.
       */
      readonly mapping?: Mapping | undefined
      /** Whether the sender agrees to try many ports. Field 1002 is not part of the spec either. */
      readonly birthday?: boolean | undefined
    }
  | { readonly kind: 'sync' }

/** Field numbers far above those that the spec may assign next. */
const mappingField = 1001
const birthdayField = 1002

/** Encodes a message. It is proto2, so the type is required; it is written first. */
export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter().tag(1, WireType.Varint).int32(typeOf[message.kind])
  if (message.kind === 'sync') return writer.finish()
  for (const address of message.addresses) writer.tag(2, WireType.LengthDelimited).bytes(address)
  if (message.mapping !== undefined) writer.tag(mappingField, WireType.Varint).int32(mappingNumbers[message.mapping])
  if (message.birthday === true) writer.tag(birthdayField, WireType.Varint).bool(true)
  return writer.finish()
}

/** Decodes a message. Throws a NatError, MALFORMED_REPLY, for bytes that are neither CONNECT nor SYNC. */
export function decodeMessage(bytes: Uint8Array): Message {
  let type: number | undefined
  let mapping: Mapping | undefined
  let birthday = false
  const addresses: Uint8Array[] = []
  readFields(bytes, {
    1: { type: WireType.Varint, read: (value) => void (type = value.int32()) },
    2: {
      type: WireType.LengthDelimited,
      read(value) {
        const address = value.bytes()
        if (addresses.length < maxAddresses) addresses.push(address)
      }
    },
    [mappingField]: { type: WireType.Varint, read: (value) => void (mapping = mappingOf(value.int32())) },
    [birthdayField]: { type: WireType.Varint, read: (value) => void (birthday = value.int32() === 1) }
  })
  if (type === typeOf.sync) return { kind: 'sync' }
  if (type === typeOf.connect) return { kind: 'connect', addresses, mapping, birthday }
  throw natError('MALFORMED_REPLY', `the DCUtR message has the unexpected type ${type ?? 'none'}`)
}

const mappingOf = (number: number): Mapping | undefined =>
  number === mappingNumbers['endpoint-independent']
    ? 'endpoint-independent'
    : number === mappingNumbers['address-and-port-dependent']
      ? 'address-and-port-dependent'
      : undefined
