import ipaddr from 'ipaddr.js'
import type { Family } from './contract.js'

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

/** ipaddr.js knows most ranges; these it calls merely reserved, or does not tell apart. */
const documentation = ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20'].map((range) =>
  ipaddr.parseCIDR(range)
)
const benchmarking = ['198.18.0.0/15', '2001:2::/48'].map((range) => ipaddr.parseCIDR(range))

const classOfRange: Readonly<Record<string, AddressClass>> = {
  unicast: 'global',
  private: 'private',
  uniqueLocal: 'private',
  carrierGradeNat: 'carrier-grade',
  loopback: 'loopback',
  linkLocal: 'link-local',
  unspecified: 'unspecified',
  benchmarking: 'benchmarking',
  multicast: 'multicast',
  broadcast: 'broadcast',
  // A translator or a tunnel stands behind these: not an address of a host that could be dialled.
  rfc6145: 'translated',
  rfc6052: 'translated',
  '6to4': 'translated',
  teredo: 'translated'
}

/** The family of an address as text, with or without a zone; undefined if it is none. Octal, hexadecimal and short
 * forms are none: what `010.0.0.1` means depends on who reads it. */
export function familyOf(address: string): Family | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return 4
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return undefined
  const tail = /[0-9.]+\.[0-9.]+(?=%|$)/.exec(address)
  return tail === null || ipaddr.IPv4.isValidFourPartDecimal(tail[0]) ? 6 : undefined
}

/** Classes of an address. An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) has the class of the IPv4 address in it.
 * Undefined if the text is no address. */
export function classOf(address: string): AddressClass | undefined {
  if (familyOf(address) === undefined) return undefined
  const parsed = ipaddr.process(address)
  const within = (ranges: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][]): boolean =>
    ranges.some(([base, bits]) => base.kind() === parsed.kind() && parsed.match(base, bits))
  if (within(documentation)) return 'documentation'
  if (within(benchmarking)) return 'benchmarking'
  return classOfRange[parsed.range()] ?? 'reserved'
}

/** Whether hosts on the internet can send to the address, as far as the address itself tells. */
export const isGlobal = (address: string): boolean => classOf(address) === 'global'

/** Whether the address stands for every address of the host. */
export const isWildcard = (address: string): boolean => classOf(address) === 'unspecified'

/** The address in its one canonical form: lower case, shortest, IPv4-mapped as IPv4, without zone. Undefined if it is none. */
export function canonicalAddress(address: string): string | undefined {
  const family = familyOf(address)
  // Four decimal numbers without leading zeros: there is no other form of it.
  if (family === undefined || family === 4) return family && address
  return ipaddr.process(address.replace(/%.*$/, '')).toString()
}

/** The part of the internet an address belongs to, for counting independent parties: its /16 (IPv4) or /32 (IPv6). */
export function networkOf(address: string): string | undefined {
  if (familyOf(address) === undefined) return undefined
  const parsed = ipaddr.process(address.replace(/%.*$/, ''))
  if (parsed instanceof ipaddr.IPv4)
    return `${ipaddr.IPv4.networkAddressFromCIDR(`${parsed.toString()}/16`).toString()}/16`
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/32`).toString()}/32`
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
