import { networkInterfaces } from 'node:os'
import {
  boundGateways,
  type CallOptions,
  canonicalAddress,
  classOf,
  type Family,
  familyOf,
  type Gateway,
  isInSubnet,
  maxGatewaysPerFamily,
  type Network
} from '@postern/interface'
import { darwinRoutes } from '../routes/darwin.js'
import { linuxRoutes, linuxUnfitAddresses } from '../routes/linux.js'
import { notPermitted } from '../routes/permission.js'
import type { FindRoutes, Route } from '../routes/route.js'
import { windowsRoutes } from '../routes/windows.js'
import { localAddressTowards } from '../udp/udp.js'
import { interfaceOf } from './choose-gateways.js'

/** The addresses of an interface, as `os.networkInterfaces()` gives them. */
export type Interfaces = Readonly<
  Record<
    string,
    readonly { readonly address: string; readonly cidr: string | null; readonly internal: boolean }[] | undefined
  >
>

/** The sources of {@link findNetwork}, replaceable for tests. */
export interface FindNetworkOptions {
  /** Resolves to the default routes.
   * @default the tools or files of this platform; none on platforms other than Linux, macOS and Windows */
  readonly findRoutes?: FindRoutes
  /** Returns the network interfaces.
   * @default `os.networkInterfaces` */
  readonly interfaces?: () => Interfaces
  /** Resolves to the IPv6 addresses that are not for incoming connections (temporary, deprecated, tentative).
   * @default those in /proc on Linux, none elsewhere */
  readonly findUnfit?: () => Promise<ReadonlySet<string>>
  /** Resolves to the source address that the kernel chooses for the internet of a family; undefined if it has no route.
   * This follows policy routing, which the table of default routes does not show. Sends nothing.
   * @default asks the kernel */
  readonly findSource?: (family: Family) => Promise<string | undefined>
}

const platformRoutes: Readonly<Record<string, FindRoutes | undefined>> = {
  linux: linuxRoutes,
  darwin: darwinRoutes,
  win32: windowsRoutes
}

/** Documentation addresses (RFC 5737, RFC 3849), which no host has. The kernel routes them like any address of the
 * internet. */
const somewhere: Readonly<Record<Family, string>> = { 4: '198.51.100.1', 6: '2001:db8::1' }

/**
 * Resolves to the network position of this host: its default routes, IPv4 before IPv6 and the lowest metric first, and
 * its addresses, without loopback and link-local ones. At most {@link maxGatewaysPerFamily} routes of each family.
 *
 * Rejects with the signal's reason, with `NOT_PERMITTED` if the runtime does not let this program inspect the network,
 * or with the error of the platform's tool.
 */
export async function findNetwork(call: CallOptions, options: FindNetworkOptions = {}): Promise<Network> {
  try {
    return await look(call, options)
  } catch (error) {
    throw notPermitted(error) ?? error
  }
}

async function look(call: CallOptions, options: FindNetworkOptions): Promise<Network> {
  const {
    findRoutes = platformRoutes[process.platform] ?? (async () => []),
    interfaces = networkInterfaces,
    findUnfit = process.platform === 'linux' ? linuxUnfitAddresses : async () => new Set<string>(),
    findSource = async (family) => sourceOf(family, held, call)
  } = options
  const [routes, unfit] = await Promise.all([findRoutes(), findUnfit()])
  call.signal.throwIfAborted()
  // Once, because every call asks the kernel for all interfaces and addresses.
  const held = interfaces()
  const [source4, source6] = await Promise.all([findSource(4), findSource(6)])
  call.signal.throwIfAborted()
  const unfitAddresses = new Set([...unfit].map(canonicalAddress))
  const addresses = Object.values(held)
    .flatMap((each = []) => each)
    .filter(({ address, internal }) => !internal && classOf(address) !== 'link-local')
    .map(({ address }) => address)
  const gateways = ([4, 6] as const).flatMap((family) => {
    const ordered = routes.filter((route) => route.family === family).toSorted((a, b) => a.metric - b.metric)
    const found = firstOfEachInterface(ordered).flatMap((route) => gatewayOf(route, held, unfitAddresses))
    return viaPolicy(found, family === 4 ? source4 : source6, held)
  })
  return { gateways: boundGateways(gateways), addresses }
}

/** Returns at most four routes of each interface: a host on the link can forge thousands of router advertisements. */
function firstOfEachInterface(ordered: readonly Route[]): readonly Route[] {
  const counts = new Map<string, number>()
  return ordered.filter(({ interface: link }) => {
    const count = (counts.get(link) ?? 0) + 1
    counts.set(link, count)
    return count <= maxGatewaysPerFamily
  })
}

/** Asks the kernel for the source address, unless this host has no usable address of the family. */
async function sourceOf(family: Family, held: Interfaces, call: CallOptions): Promise<string | undefined> {
  const candidates = Object.values(held).flatMap((each = []) => each)
  const useful = ({ address, internal }: (typeof candidates)[number]): boolean =>
    !internal && familyOf(address) === family && classOf(address) !== 'link-local'
  if (!candidates.some(useful)) return undefined
  return localAddressTowards(somewhere[family], call).catch(() => undefined)
}

function gatewayOf(route: Route, held: Interfaces, unfit: ReadonlySet<string | undefined>): readonly Gateway[] {
  const { family, interface: link, mac } = route
  const hop = route.gateway ?? (family === 4 ? '0.0.0.0' : '::')
  const ours = (held[link] ?? []).filter(({ address }) => familyOf(address) === family)
  const near = ours.find(({ cidr }) => cidr !== null && family === 4 && isInSubnet(hop, cidr))
  const global = ours.find(({ address }) => classOf(address) === 'global' && !unfit.has(canonicalAddress(address)))
  const routable = ours.find(({ address }) => classOf(address) !== 'link-local')
  const local = near ?? global ?? routable ?? ours[0]
  if (local === undefined) return []
  const address = classOf(hop) === 'link-local' && family === 6 ? `${hop}%${link}` : hop
  return [
    { address: compact(address), interface: link, localAddress: local.address, ...(mac === undefined ? {} : { mac }) }
  ]
}

/** Puts the interface that policy routing uses for the internet first, if it is not the interface of the first default
 * route. Its next hop is in a routing table that is not read, so the gateway counts as having none. */
function viaPolicy(found: readonly Gateway[], source: string | undefined, held: Interfaces): readonly Gateway[] {
  if (source === undefined || classOf(source) === 'loopback') return found
  const link =
    Object.keys(held).find((name) => held[name]?.some(({ address }) => address === source)) ?? interfaceOf(source)
  const [first] = found
  if (link === undefined || first?.interface === link) return found
  const same = found.find((gateway) => gateway.interface === link)
  if (same !== undefined) return [same, ...found.filter((gateway) => gateway !== same)]
  const address = familyOf(source) === 4 ? '0.0.0.0' : '::'
  return [{ address, interface: link, localAddress: source }, ...found]
}

/** Returns the short form of an address, with its zone. */
function compact(address: string): string {
  const [bare = '', zone] = address.split('%')
  const short = canonicalAddress(bare) ?? bare
  return zone === undefined ? short : `${short}%${zone}`
}
