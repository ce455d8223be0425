// No import of `node:net`: packages that depend on this one also run in browsers, and in runtimes with a `node:net`
// that does not shorten IPv6 addresses.

const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`)
const zone = /%[0-9a-zA-Z.:-]+$/

/** Returns whether a text is an IPv4 address in decimal without leading zeros. */
export const isIPv4Text = (text: string): boolean => text.length <= 15 && ipv4.test(text)

/** Returns the four octets of an IPv4 address; undefined for any other text. */
export const octetsOf = (text: string): readonly number[] | undefined =>
  isIPv4Text(text) ? text.split('.').map(Number) : undefined

/** Returns the eight groups of an IPv6 address (RFC 4291 §2.2), with or without a zone; undefined for any other
 * text. */
export function groupsOf(text: string): readonly number[] | undefined {
  if (!text.includes(':')) return undefined
  const halves = text.replace(zone, '').split('::')
  const [head = '', tail] = halves
  if (halves.length > 2) return undefined
  const front = readGroups(head, tail === undefined)
  if (tail === undefined) return front?.length === 8 ? front : undefined
  const back = readGroups(tail, true)
  if (front === undefined || back === undefined) return undefined
  // `::` stands for at least one group.
  const missing = 8 - front.length - back.length
  return missing < 1 ? undefined : [...front, ...Array.from({ length: missing }, () => 0), ...back]
}

/** Parses groups between colons. At the end of the text, the last two may be written as an IPv4 address. */
function readGroups(text: string, isEnd: boolean): readonly number[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const octets = isEnd ? octetsOf(parts.at(-1) ?? '') : undefined
  const plain = octets === undefined ? parts : parts.slice(0, -1)
  if (!plain.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return undefined
  const groups = plain.map((part) => Number.parseInt(part, 16))
  if (octets === undefined) return groups
  const [a = 0, b = 0, c = 0, d = 0] = octets
  return [...groups, a * 256 + b, c * 256 + d]
}

/** Formats an IPv6 address as `inet_ntop` does: RFC 5952, with the last 32 bits in decimal after `::` and `::ffff:`. */
export function formatGroups(groups: readonly number[]): string {
  const { start, length } = longestZeros(groups)
  const isMapped = start === 0 && length === 5 && groups[5] === 0xff_ff
  if (start === 0 && (length === 6 || isMapped)) return `::${isMapped ? 'ffff:' : ''}${formatLow(groups)}`
  const written = groups.map((group) => group.toString(16))
  if (length < 2) return written.join(':')
  return `${written.slice(0, start).join(':')}::${written.slice(start + length).join(':')}`
}

const formatLow = ([, , , , , , high = 0, low = 0]: readonly number[]): string =>
  [high, low].flatMap((group) => [Math.floor(group / 256), group % 256]).join('.')

/** Returns the longest run of zeros; the first one if several have the same length. */
function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 }
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { start: index - length + 1, length }
  }
  return best
}

/** Returns whether the first `bits` bits of both are the same. A part has `width` bits. */
export function hasPrefix(parts: readonly number[], prefix: readonly number[], bits: number, width: 8 | 16): boolean {
  return prefix.every((part, index) => {
    const unit = 2 ** Math.max(0, width - Math.max(0, bits - index * width))
    return Math.floor(part / unit) === Math.floor((parts[index] ?? 0) / unit)
  })
}
