import ipaddr from 'ipaddr.js'

const known = new Map<string, Uint8Array>()

/** Returns an address as the 16 bytes of PCP: IPv4 as IPv4-mapped IPv6 (RFC 6887 §5). Omits the zone. */
export function bytesOfAddress(text: string): Uint8Array {
  const found = known.get(text)
  if (found !== undefined) return found
  const parsed = ipaddr.parse(text.replace(/%.*$/, ''))
  const bytes = Uint8Array.from(
    parsed instanceof ipaddr.IPv4 ? parsed.toIPv4MappedAddress().toByteArray() : parsed.toByteArray()
  )
  // Simulations convert the same few addresses millions of times.
  if (known.size < 10_000) known.set(text, bytes)
  return bytes
}

/** Returns the address of 16 bytes, the reverse of {@link bytesOfAddress}. IPv4-mapped addresses become IPv4. */
export function addressOfBytes(bytes: Uint8Array): string {
  const isMapped = bytes.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff))
  if (isMapped && bytes.length === 16) return bytes.subarray(12).join('.')
  return ipaddr.process(ipaddr.fromByteArray([...bytes]).toString()).toString()
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])
