import type { Family } from './contract.js'
import { formatGroups, groupsOf, hasPrefix, isIPv4Text, octetsOf } from './ip-text.js'

/** What kind of address it is, by the IANA special-purpose registries (RFC 6890 and its updates). */
export type AddressClass =
  | 'global'
  | 'private'
  | 'carrier-grade'
  | 'loopback'
  | 'link-local'
  | 'unspecified'
  | 'documentation'
  | 'benchmarking'
  | 'multicast'
  | 'broadcast'
  | 'translated'
  | 'reserved'

/** The special-purpose registries of IANA (RFC 6890 and its updates). The first line that holds an address names it. */
const special: readonly (readonly [AddressClass, readonly string[]])[] = [
  ['unspecified', ['0.0.0.0/32', '::/128']],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
  ['carrier-grade', ['100.64.0.0/10']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  ['documentation', ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20']],
  ['benchmarking', ['198.18.0.0/15', '2001:2::/48']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8']],
  ['broadcast', ['255.255.255.255/32']],
  // A translator or a tunnel stands behind these: not an address of a host that could be dialled.
  ['translated', ['64:ff9b::/96', '64:ff9b:1::/48', '::ffff:0:0:0/96', '2002::/16', '2001::/32']],
  ['reserved', ['0.0.0.0/8', '192.0.0.0/24', '192.88.99.0/24', '240.0.0.0/4', '2001::/23']],
  ['global', ['0.0.0.0/0', '2000::/3']]
]

const classes = special.map(([name, ranges]) => ({ name, holds: ranges.map(rangeOf) }))

/** Whether the octets or groups of an address are in the range, `<address>/<bits>`. */
function rangeOf(range: string): (parts: readonly number[]) => boolean {
  const [base = '', bits] = range.split('/')
  const width = kindOf(base) === 'ipv4' ? 8 : 16
  const prefix = partsOf(base)
  return (parts) => parts.length === prefix.length && hasPrefix(parts, prefix, Number(bits), width)
}

/** The four octets or the eight groups of an address; none of another text. */
function partsOf(address: string): readonly number[] {
  return octetsOf(address) ?? groupsOf(address) ?? []
}

function kindOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}

/** The family of an address as text, with or without a zone; undefined if it is none. Octal, hexadecimal and short
 * forms are none: what `010.0.0.1` means depends on who reads it. */
export function familyOf(address: string): Family | undefined {
  if (isIPv4Text(address)) return 4
  return groupsOf(address) === undefined ? undefined : 6
}

/** Classes of an address. An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) has the class of the IPv4 address in it.
 * Undefined if the text is no address. */
export function classOf(address: string): AddressClass | undefined {
  const plain = canonicalAddress(address)
  if (plain === undefined) return undefined
  const parts = partsOf(plain)
  return classes.find(({ holds }) => holds.some((each) => each(parts)))?.name ?? 'reserved'
}

/** Whether hosts on the internet can send to the address, as far as the address itself tells. */
export const isGlobal = (address: string): boolean => classOf(address) === 'global'

/** Whether the address stands for every address of the host. */
export const isWildcard = (address: string): boolean => classOf(address) === 'unspecified'

const neverExternal: ReadonlySet<AddressClass> = new Set([
  'unspecified',
  'loopback',
  'link-local',
  'multicast',
  'broadcast'
])

/** Whether no router can have the address on its outer side, as far as the address itself tells; true for what is none. A private
 * or reserved one it can have: behind another router. */
export const isNeverExternal = (address: string): boolean => neverExternal.has(classOf(address) ?? 'unspecified')

/** The address in its one canonical form: lower case, shortest, IPv4-mapped as IPv4, without zone. Undefined if it is none. */
export function canonicalAddress(address: string): string | undefined {
  // Four decimal numbers without leading zeros: there is no other form of it.
  if (isIPv4Text(address)) return address
  const groups = groupsOf(address)
  if (groups === undefined) return undefined
  const text = formatGroups(groups)
  return /^::ffff:([\d.]+)$/.exec(text)?.[1] ?? text
}

/** The part of the internet an address belongs to, for counting independent parties: its /16 (IPv4) or /32 (IPv6). */
export function networkOf(address: string): string | undefined {
  const plain = canonicalAddress(address)
  if (plain === undefined) return undefined
  if (kindOf(plain) === 'ipv4') return `${plain.split('.', 2).join('.')}.0.0/16`
  // What the canonical form leaves out are zeros, and never fewer than two groups.
  const [first, second] = plain.replace(/::.*$/, '').split(':')
  return `${canonicalAddress(`${first || 0}:${second ?? 0}::`)}/32`
}

const bridges: readonly { readonly software: string; readonly interfaces: RegExp; readonly range: RegExp }[] = [
  { software: 'Docker', interfaces: /^(docker\d+|br-[0-9a-f]{12})$/, range: /^172\.17\./ },
  { software: 'Podman', interfaces: /^(podman|cni-podman)\d+$/, range: /^10\.88\./ },
  { software: 'LXC', interfaces: /^lxc(br|dbr)\d+$/, range: /^10\.0\.3\./ },
  { software: 'libvirt', interfaces: /^virbr\d+$/, range: /^192\.168\.122\./ }
]

/** The software whose bridge a next hop seems to be, by its interface's name or by the range the software uses when
 * nobody configured another; undefined if nothing suggests one. A hint for people, not a fact. */
export function containerBridgeOf(link: { readonly address: string; readonly interface: string }): string | undefined {
  return bridges.find(({ interfaces, range }) => interfaces.test(link.interface) || range.test(link.address))?.software
}

/** Whether an interface's name is one that VPN software gives. A hint for people, not a fact. */
export const isVpnInterface = (name: string): boolean =>
  /^(tun|utun|tap|wg|ppp|ipsec|tailscale|zt|nordlynx|proton|mullvad|wg-)\w*/i.test(name)
