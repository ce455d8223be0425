import type { TopologyName } from './topologies.js'
import { getTopology } from './topologies.js'
import type { HostPlan, LinkPlan, RoutePlan, Topology } from './topology.js'

/** Each is in a network that no other host is in, whether by first octet, /16 or /32: 21.0.0.1 and 2a21::1. */
const peers = { alpha: 21, bravo: 31, charlie: 41, outsider: 51 } as const

const addressesOf = (number: number, dual: boolean): string[] =>
  dual ? [`${number}.0.0.1/8`, `2a${number}::1/32`] : [`${number}.0.0.1/8`]

const networksOf = (number: number, dual: boolean): string[] =>
  dual ? [`${number}.0.0.0/8`, `2a${number}::/32`] : [`${number}.0.0.0/8`]

/**
 * The topology with public peers on its internet: `alpha`, `bravo`, `charlie` and `outsider`, each in a network of its
 * own. They share the segment of `internet`, where everyone reaches everyone without a next hop; a router is between
 * them and its LAN as it is between `internet` and the LAN. With IPv6 where `internet` has it.
 * Throws a TypeError for an unknown name or a topology without a host `internet`.
 */
export function withPeers(topology: TopologyName | Topology): Topology {
  const { name, description, hosts } = typeof topology === 'string' ? getTopology(topology) : topology
  const internet = hosts['internet']
  const [uplink] = internet?.links ?? []
  if (internet === undefined || uplink === undefined)
    throw new TypeError(`The topology ${name} has no host internet, where peers could be`)
  const dual = uplink.addresses.some((address) => address.includes(':'))

  const known = Object.entries(hosts).map(([host, plan]) => [host, knowingPeers(plan, uplink.network, dual)] as const)
  const added = Object.entries(peers).map(
    ([peer, number]) => [peer, peerHost(internet, uplink, addressesOf(number, dual))] as const
  )
  return {
    name: `${name}+peers`,
    description: `${description} With public peers.`,
    hosts: Object.fromEntries([...known, ...added])
  }
}

/**
 * The topology with public peers (`withPeers`) and STUN servers on two of them: `alpha` has a second address,
 * 21.0.0.2 (and 2a21::2), and tells about the behaviour of NATs (RFC 5780); `bravo` only what address it sees.
 * Throws a TypeError as `withPeers` does.
 */
export function withStun(topology: TopologyName | Topology): Topology {
  const { name, description, hosts } = withPeers(topology)
  const servers = Object.entries(hosts).map(([host, plan]): [string, HostPlan] => {
    if (host === 'alpha') return [host, { ...withSecondAddress(plan), stun: 'behaviour-discovery' }]
    return [host, host === 'bravo' ? { ...plan, stun: 'plain' } : plan]
  })
  return {
    name: name.replace('+peers', '+stun'),
    description: description.replace('With public peers.', 'With public peers and STUN servers.'),
    hosts: Object.fromEntries(servers)
  }
}

function withSecondAddress(plan: HostPlan): HostPlan {
  const links = plan.links.map((link) => ({
    ...link,
    addresses: link.addresses.flatMap((address) => [address, address.replace(/1\//, '2/')])
  }))
  return { ...plan, links }
}

/** Routes to the peers' networks for a host on their segment; whatever is behind it follows its own default route. */
function knowingPeers(plan: HostPlan, network: string, dual: boolean): HostPlan {
  const networks = Object.values(peers).flatMap((number) => networksOf(number, dual))
  const routes = plan.links
    .filter((link) => link.network === network)
    .flatMap((link) => networks.map((to): RoutePlan => ({ to, link: link.name })))
  return routes.length === 0 ? plan : { ...plan, routes: [...plan.routes, ...routes] }
}

/** Takes everyone for a neighbour, except whom `internet` reaches through a router. */
function peerHost(internet: HostPlan, uplink: LinkPlan, addresses: readonly string[]): HostPlan {
  const link = 'eth0'
  const neighbours = addresses.map((address): RoutePlan => {
    return { to: address.includes(':') ? 'default6' : 'default', link }
  })
  const routed = internet.routes.filter((route) => route.link === uplink.name && route.via !== undefined)
  return {
    links: [{ name: link, network: uplink.network, addresses }],
    routes: [...neighbours, ...routed.map((route) => ({ ...route, link }))]
  }
}
