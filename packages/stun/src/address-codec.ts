import { canonicalAddress, natError } from '@postern/interface'

/** An address with a port. */
export interface StunAddress {
  /** The IP address. */
  readonly address: string
  /** The port. */
  readonly port: number
}

/** The length of an address in bytes, by the family byte (RFC 8489 §14.1). */
const lengths: Readonly<Record<number, number>> = { 1: 4, 2: 16 }

/**
 * Decodes MAPPED-ADDRESS (RFC 8489 §14.1) and attributes of the same form. With `mask`, which is the part of the
 * message from the magic cookie to the end of the transaction id, decodes XOR-MAPPED-ADDRESS (§14.2). Throws
 * `MALFORMED_REPLY`.
 */
export function decodeAddress(value: Uint8Array, mask?: Uint8Array): StunAddress {
  const [, family = 0] = value
  const length = lengths[family]
  if (length === undefined || value.length !== 4 + length)
    throw natError('MALFORMED_REPLY', `not a STUN answer: an address of family ${family} in ${value.length} bytes`)
  const unmasked = (from: number, count: number): Uint8Array =>
    value.slice(from, from + count).map((byte, index) => byte ^ (mask?.[index] ?? 0))
  const [high = 0, low = 0] = unmasked(2, 2)
  return { address: textOf(unmasked(4, length)), port: high * 256 + low }
}

function textOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((bytes[index * 2] ?? 0) * 256 + (bytes[index * 2 + 1] ?? 0)).toString(16)
  )
  return canonicalAddress(groups.join(':')) ?? groups.join(':')
}
