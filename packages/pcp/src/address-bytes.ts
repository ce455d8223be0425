import { canonicalAddress, type Family, familyOf } from '@postern/interface'

/** The all-zeros address of each family, which a client without a preference suggests (RFC 6887 §5). */
export const anyAddress: Readonly<Record<Family, string>> = { 4: '0.0.0.0', 6: '::' }

/** Encodes an address as the 16 bytes of PCP; IPv4 is IPv4-mapped (RFC 6887 §5). Omits a zone. Throws a TypeError for
 * text that is not an IP address. */
export function encodeAddress(address: string): Uint8Array {
  const text = canonicalAddress(address)
  if (text === undefined) throw new TypeError(`not an IP address: ${address}`)
  const bytes = new Uint8Array(16)
  if (familyOf(text) === 4) {
    bytes.set([0xff, 0xff, ...text.split('.').map(Number)], 10)
    return bytes
  }
  const view = new DataView(bytes.buffer)
  const [head = [], tail = []] = text.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const groups = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail]
  for (const [index, group] of groups.entries()) view.setUint16(index * 2, Number.parseInt(group, 16))
  return bytes
}

/** Decodes 16 bytes to an address in its shortest form; an IPv4-mapped one becomes IPv4. An address with 12 leading
 * zero bytes becomes IPv4 too, because some firmware omits the IPv4-mapped prefix and no host has an address in
 * `::/96`. `::` and `::1` stay IPv6. */
export function decodeAddress(bytes: Uint8Array): string {
  const isMapped = bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0)
  const isUnmarked = bytes.subarray(0, 12).every((byte) => byte === 0) && bytes[12] !== 0
  if (isMapped || isUnmarked) return bytes.subarray(12, 16).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => {
    const [high = 0, low = 0] = bytes.subarray(index * 2, index * 2 + 2)
    return (high * 256 + low).toString(16)
  })
  const text = groups.join(':')
  return canonicalAddress(text) ?? text
}
