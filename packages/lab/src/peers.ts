import { getTopology } from './topologies.js'
import type { HostPlan, LinkPlan, RoutePlan, Topology } from './topology.js'
import type { TopologyName } from './topology-names.js'

/** The peers by the first octet of their networks, which contain no other host: 21.0.0.1 and 2a21::1. */
const peers = { alpha: 21, bravo: 31, charlie: 41, outsider: 51 } as const

export const peerNames: readonly string[] = Object.keys(peers)

const addressesOf = (number: number, dual: boolean): string[] =>
  dual ? [`${number}.0.0.1/8`, `2a${number}::1/32`] : [`${number}.0.0.1/8`]

const networksOf = (number: number, dual: boolean): string[] =>
  dual ? [`${number}.0.0.0/8`, `2a${number}::/32`] : [`${number}.0.0.0/8`]

/**
 * Returns the topology with public peers on its internet: `alpha`, `bravo`, `charlie` and `outsider`, each in its own
 * network. They share the segment of `internet`, on which all hosts reach each other without a next hop. A router
 * separates them from its LAN as it separates `internet`. They have IPv6 if `internet` has it. Throws a TypeError for
 * an unknown name or a topology without a host `internet`.
 */
export function withPeers(topology: TopologyName | Topology): Topology {
  const { name, description, hosts } = typeof topology === 'string' ? getTopology(topology) : topology
  const internet = hosts['internet']
  const [uplink] = internet?.links ?? []
  if (internet === undefined || uplink === undefined)
    throw new TypeError(`The topology ${name} has no host internet, which peers need`)
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
 * Returns the topology with public peers (`withPeers`) and STUN servers on two of them. `alpha` has a second address,
 * 21.0.0.2 (and 2a21::2), and supports NAT behaviour discovery (RFC 5780); `bravo` only reports the observed address.
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

/** Adds routes to the networks of the peers for a host on their segment. Hosts behind it use their default routes. */
function knowingPeers(plan: HostPlan, network: string, dual: boolean): HostPlan {
  const networks = Object.values(peers).flatMap((number) => networksOf(number, dual))
  const routes = plan.links
    .filter((link) => link.network === network)
    .flatMap((link) => networks.map((to): RoutePlan => ({ to, link: link.name })))
  return routes.length === 0 ? plan : { ...plan, routes: [...plan.routes, ...routes] }
}

/** Returns a peer host. It treats all hosts as neighbours, except those that `internet` reaches through a router. */
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
