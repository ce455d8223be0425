import type { Family } from './contract.js'
import { formatGroups, groupsOf, hasPrefix, isIPv4Text, octetsOf } from './ip-text.js'

/** The class of an address by the IANA special-purpose registries (RFC 6890 and its updates). */
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

/** The special-purpose registries of IANA (RFC 6890 and its updates). The first entry that contains an address wins. */
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
  // Translators and tunnels use these ranges: they are not addresses of hosts that could be dialled.
  ['translated', ['64:ff9b::/96', '64:ff9b:1::/48', '::ffff:0:0:0/96', '2002::/16', '2001::/32']],
  ['reserved', ['0.0.0.0/8', '192.0.0.0/24', '192.88.99.0/24', '240.0.0.0/4', '2001::/23']],
  ['global', ['0.0.0.0/0', '2000::/3']]
]

interface Range {
  readonly name: AddressClass
  readonly holds: readonly ((parts: readonly number[]) => boolean)[]
}

let parsed: readonly Range[] | undefined

/** The registries, parsed when an address is first classified and not at import. */
const classes = (): readonly Range[] =>
  (parsed ??= special.map(([name, ranges]) => ({ name, holds: ranges.map(rangeOf) })))

/** Returns a function that checks whether the octets or groups of an address are in the range, `<address>/<bits>`. */
function rangeOf(range: string): (parts: readonly number[]) => boolean {
  const [base = '', bits] = range.split('/')
  const width = kindOf(base) === 'ipv4' ? 8 : 16
  const prefix = partsOf(base)
  return (parts) => parts.length === prefix.length && hasPrefix(parts, prefix, Number(bits), width)
}

/** Returns the four octets or the eight groups of an address; an empty list for any other text. */
function partsOf(address: string): readonly number[] {
  return octetsOf(address) ?? groupsOf(address) ?? []
}

function kindOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}

/** Returns the family of an IP address in text form, with or without a zone; undefined for any other text. Octal,
 * hexadecimal and short forms are not accepted, because programs read `010.0.0.1` differently. */
export function familyOf(address: string): Family | undefined {
  if (isIPv4Text(address)) return 4
  return groupsOf(address) === undefined ? undefined : 6
}

/** Returns the class of an address; undefined if the text is not an IP address. An IPv4-mapped IPv6 address
 * (`::ffff:10.0.0.1`) has the class of the IPv4 address in it. */
export function classOf(address: string): AddressClass | undefined {
  const plain = canonicalAddress(address)
  if (plain === undefined) return undefined
  const parts = partsOf(plain)
  return classes().find(({ holds }) => holds.some((each) => each(parts)))?.name ?? 'reserved'
}

/** Returns whether a subnet, such as `192.168.1.0/24`, contains an address. Ignores the zone of the address. False if either text is
 * invalid, or if the families differ. */
export function isInSubnet(address: string, subnet: string): boolean {
  const parts = partsOf(address)
  const [, bits] = /^[^/]+\/(\d{1,3})$/.exec(subnet) ?? []
  if (parts.length === 0 || bits === undefined || Number(bits) > (parts.length === 4 ? 32 : 128)) return false
  return rangeOf(subnet)(parts)
}

/** Returns whether the address is of class `global`: hosts on the internet can send to it. False for text that is not
 * an IP address. */
export const isGlobal = (address: string): boolean => classOf(address) === 'global'

/** Returns whether the address is a wildcard, `0.0.0.0` or `::`, which means every address of the host. */
export const isWildcard = (address: string): boolean => classOf(address) === 'unspecified'

const neverExternal: ReadonlySet<AddressClass> = new Set([
  'unspecified',
  'loopback',
  'link-local',
  'multicast',
  'broadcast'
])

/** Returns whether no router can have this as its external address: unspecified, loopback, link-local, multicast and
 * broadcast addresses, and text that is not an IP address. A router behind another router can have a private or
 * reserved one. */
export const isNeverExternal = (address: string): boolean => neverExternal.has(classOf(address) ?? 'unspecified')

/** Returns the canonical form of an address: lower case, shortest (RFC 5952), IPv4-mapped as IPv4, without zone.
 * Undefined if the text is not an IP address. */
export function canonicalAddress(address: string): string | undefined {
  // Four decimal numbers without leading zeros are already canonical.
  if (isIPv4Text(address)) return address
  const groups = groupsOf(address)
  if (groups === undefined) return undefined
  const text = formatGroups(groups)
  return /^::ffff:([\d.]+)$/.exec(text)?.[1] ?? text
}

/** Returns the network that an address belongs to, for counting independent remote parties: its /16 (IPv4) or /32
 * (IPv6) prefix, such as `203.0.0.0/16`. Undefined if the text is not an IP address. */
export function networkPrefixOf(address: string): string | undefined {
  const plain = canonicalAddress(address)
  if (plain === undefined) return undefined
  if (kindOf(plain) === 'ipv4') return `${plain.split('.', 2).join('.')}.0.0/16`
  // `::` in the canonical form stands for at least two groups of zeros.
  const [first, second] = plain.replace(/::.*$/, '').split(':')
  return `${canonicalAddress(`${first || 0}:${second ?? 0}::`)}/32`
}

const bridges: readonly { readonly software: string; readonly interfaces: RegExp; readonly range: RegExp }[] = [
  { software: 'Docker', interfaces: /^(docker\d+|br-[0-9a-f]{12})$/, range: /^172\.17\./ },
  { software: 'Podman', interfaces: /^(podman|cni-podman)\d+$/, range: /^10\.88\./ },
  { software: 'LXC', interfaces: /^lxc(br|dbr)\d+$/, range: /^10\.0\.3\./ },
  { software: 'libvirt', interfaces: /^virbr\d+$/, range: /^192\.168\.122\./ }
]

/** Returns the name of the software that seems to have created the bridge of this next hop (`Docker`, `Podman`, `LXC`,
 * `libvirt`), judged by the interface name or the software's default address range; undefined if nothing suggests one.
 * A hint for people, not a fact. */
export function containerBridgeOf(link: { readonly address: string; readonly interface: string }): string | undefined {
  return bridges.find(({ interfaces, range }) => interfaces.test(link.interface) || range.test(link.address))?.software
}

/** Returns whether an interface has a name that VPN software gives. A hint for people, not a fact. */
export const isVpnInterface = (name: string): boolean =>
  /^(tun|utun|tap|wg|ppp|ipsec|tailscale|zt|nordlynx|proton|mullvad|wg-)\w*/i.test(name)
