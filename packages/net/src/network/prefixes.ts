import { canonicalAddress, familyOf } from '@postern/interface'

/** The prefixes that contain an address, narrowest first. Each is a key for counting. */
export interface Prefixes {
  /** The prefix of one customer: an IPv4 address, or a /64 of IPv6. */
  readonly ip: string
  /** The prefix of one site or of a small hosting provider: a /24 of IPv4, or a /48 of IPv6. */
  readonly subnet: string
  /** The prefix of one network: a /16 of IPv4, or a /32 of IPv6. */
  readonly network: string
}

/**
 * Returns the prefixes that contain an IP address; undefined for text that is not an IP address.
 *
 * An IPv6 address that embeds the IPv4 address of its host counts as that IPv4 address: IPv4-mapped (RFC 4291
 * §2.5.5.2), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056) and Teredo (RFC 4380 §4). Otherwise the owner of one IPv4
 * address would have 65,536 prefixes of length 64.
 */
export function prefixesOf(address: string): Prefixes | undefined {
  const plain = canonicalAddress(address)
  if (plain === undefined) return undefined
  if (familyOf(plain) === 4) return prefixesOf4(plain)
  const groups = groupsOf(plain)
  const carried = carriedAddress(groups)
  if (carried !== undefined) return prefixesOf4(carried)
  const first = (count: number): string => `${groups.slice(0, count).map(hex).join(':')}::/${count * 16}`
  return { ip: first(4), subnet: first(3), network: first(2) }
}

function prefixesOf4(address: string): Prefixes {
  const parts = address.split('.')
  return {
    ip: address,
    subnet: `${parts.slice(0, 3).join('.')}.0/24`,
    network: `${parts.slice(0, 2).join('.')}.0.0/16`
  }
}

/** Returns the eight groups of a canonical IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [head = '', tail] = address.split('::')
  const before = partsOf(head)
  const after = tail === undefined ? [] : partsOf(tail)
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}

/** Parses groups between colons. The last 32 bits may be written in decimal (RFC 5952 §5). */
function partsOf(text: string): readonly number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

function carriedAddress(groups: readonly number[]): string | undefined {
  const [a = 0, b = 0, c = 0, , , , y = 0, z = 0] = groups
  // NAT64: 64:ff9b::/96, and 64:ff9b:1::/48 for local translators.
  if (a === 0x64 && b === 0xff9b && (c === 1 || groups.slice(2, 6).every((group) => group === 0))) return dotted(y, z)
  if (a === 0x2002) return dotted(b, c)
  // Teredo: the bits of the address are inverted, so that NATs do not translate it.
  if (a === 0x2001 && b === 0) return dotted(y ^ 0xffff, z ^ 0xffff)
  return undefined
}

const dotted = (high: number, low: number): string => [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')

const hex = (group: number): string => group.toString(16)
