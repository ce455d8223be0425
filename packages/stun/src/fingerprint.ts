/** RFC 8489 §14.7: what the checksum is XORed with. */
const fingerprintXor = 0x53_54_55_4e

/** CRC-32 of ITU V.42. `node:zlib` has it from Node 22.2 on; this runs on 22.0 too. */
const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xed_b8_83_20 : value >>> 1
  return value
})

/** The value of FINGERPRINT after these bytes, whose length field counts it already. */
export function fingerprintOf(bytes: Uint8Array): number {
  let value = 0xff_ff_ff_ff
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] ?? 0)
  return (value ^ 0xff_ff_ff_ff ^ fingerprintXor) >>> 0
}
