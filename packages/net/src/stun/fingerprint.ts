/** The value that the checksum is XORed with (RFC 8489 §14.7). */
const fingerprintXor = 0x53_54_55_4e

/** The table of CRC-32 (ITU V.42). `node:zlib` has CRC-32 since Node.js 22.2; this also runs on 22.0. */
const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xed_b8_83_20 : value >>> 1
  return value
})

/** Returns the value of FINGERPRINT for the bytes before it. The length field in these bytes must include it
 * already. */
export function fingerprintOf(bytes: Uint8Array): number {
  let value = 0xff_ff_ff_ff
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] ?? 0)
  return (value ^ 0xff_ff_ff_ff ^ fingerprintXor) >>> 0
}
