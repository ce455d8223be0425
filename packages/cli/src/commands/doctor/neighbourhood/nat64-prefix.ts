import { canonicalAddress, classOf } from '@postern/interface'

/** The IPv4 addresses of `ipv4only.arpa`, which no host has (RFC 7050 §8.2, RFC 8880). */
const wellKnown = [
  [192, 0, 0, 170],
  [192, 0, 0, 171]
] as const

/** The prefix lengths of RFC 6052 §2.2, in bits, with the octets at which the IPv4 address stands. Octet 8 is zero and no part
 * of it. */
const layouts = [
  { length: 32, at: [4, 5, 6, 7] },
  { length: 40, at: [5, 6, 7, 9] },
  { length: 48, at: [6, 7, 9, 10] },
  { length: 56, at: [7, 9, 10, 11] },
  { length: 64, at: [9, 10, 11, 12] },
  { length: 96, at: [12, 13, 14, 15] }
] as const

/** The maximum number of addresses that are looked at. A resolver with several translators has one pair for each. */
const maxAddresses = 16

/**
 * Returns the prefix of the NAT64 (RFC 6052 §2.2), `64:ff9b::/96` for example, from the IPv6 addresses that a resolver gives for
 * `ipv4only.arpa` (RFC 7050 §3); the first one, if there are several. Undefined if there is none.
 *
 * A DNS64 translates both IPv4 addresses of the name (RFC 6147 §5.1), so a prefix counts only if both follow it. Other answers,
 * as those of a resolver that has one address for every name, are no prefix.
 */
export function nat64Prefix(addresses: readonly string[]): string | undefined {
  const read = addresses
    .slice(0, maxAddresses)
    .map(octetsOfIPv6)
    .filter((each) => each !== undefined)
  const prefixes = wellKnown.map((ipv4) => read.flatMap((octets) => prefixesIn(octets, ipv4)))
  const [first = [], second = []] = prefixes
  return first.find((prefix) => second.includes(prefix))
}

/** Returns every prefix with which an address would be the translation of an IPv4 address. */
const prefixesIn = (octets: readonly number[], ipv4: readonly number[]): readonly string[] =>
  layouts.flatMap(({ length, at }) => {
    const isHere = octets[8] === 0 || length === 96
    if (!isHere || !at.every((index, place) => octets[index] === ipv4[place])) return []
    const network = octets.map((octet, index) => (index < length / 8 ? octet : 0))
    const prefix = formatIPv6(network)
    return prefix !== undefined && isTranslators(prefix) ? [`${prefix}/${length}`] : []
  })

/** Returns whether a NAT64 can have this prefix: the well-known ones (RFC 6052 §2.1, RFC 8215), one of the provider, or one of
 * the local network. */
function isTranslators(prefix: string): boolean {
  const kind = classOf(prefix)
  return kind === 'translated' || kind === 'global' || kind === 'private'
}

/** Returns the sixteen octets of an IPv6 address without a zone; undefined for any other text, and for an IPv4-mapped address. */
function octetsOfIPv6(text: string): readonly number[] | undefined {
  const plain = text.includes('%') ? undefined : canonicalAddress(text)
  if (plain === undefined || !plain.includes(':')) return undefined
  const [head = '', tail] = plain.split('::')
  const front = octetsOfGroups(head)
  const back = octetsOfGroups(tail ?? '')
  return [...front, ...Array.from({ length: 16 - front.length - back.length }, () => 0), ...back]
}

const octetsOfGroups = (text: string): readonly number[] =>
  text
    .split(':')
    .filter((part) => part !== '')
    .flatMap((part) => {
      if (part.includes('.')) return part.split('.').map(Number)
      const group = Number.parseInt(part, 16)
      return [group >> 8, group & 0xff]
    })

function formatIPv6(octets: readonly number[]): string | undefined {
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((octets[at * 2] ?? 0) * 256 + (octets[at * 2 + 1] ?? 0)).toString(16)
  )
  return canonicalAddress(groups.join(':'))
}
