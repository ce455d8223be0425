import type { DaemonPlan, HostPlan, RouterPlan } from './topology.js'
import type { NamedTopology, TopologyName } from './topology-names.js'

// The parts of topologies.

/** Every mapping protocol. */
export const all: DaemonPlan = { upnp: 'igd2', natPmp: true, pcp: true }
export const upnpOnly: DaemonPlan = { upnp: 'igd2', natPmp: false, pcp: false }

/** Returns a host with one interface, eth0, and a default route if a gateway is given. */
export function host(network: string, address: string, gateway?: string): HostPlan {
  return {
    links: [{ name: 'eth0', network, addresses: [address] }],
    routes: gateway === undefined ? [] : [{ to: 'default', via: gateway, link: 'eth0' }]
  }
}

/** Returns a router with the interfaces lan and wan. */
export function router(
  lan: readonly [network: string, address: string],
  wan: readonly [network: string, address: string, gateway: string],
  plan: Partial<RouterPlan>
): HostPlan {
  return {
    links: [
      { name: 'lan', network: lan[0], addresses: [lan[1]] },
      { name: 'wan', network: wan[0], addresses: [wan[1]] }
    ],
    routes: [{ to: 'default', via: wan[2], link: 'wan' }],
    router: { lan: 'lan', wan: 'wan', nat: 'port-preserving', wanInput: 'drop', mapping: 'refused', ...plan }
  }
}

/** Returns a host or router that also has the other network on its segment. */
export const besides = (plan: HostPlan, network: string, link = 'wan'): HostPlan => ({
  ...plan,
  routes: [...plan.routes, { to: network, link }]
})

/** The host `internet` of a topology with two providers. */
export const twoProviders: HostPlan = {
  links: [{ name: 'eth0', network: 'wan', addresses: ['11.0.0.1/24', '12.0.0.1/24'] }],
  routes: []
}

/** Returns a host with IPv4 and IPv6 on the LAN of a dual-stack router. */
export function dualStackHost(ipv4: string, ipv6: string): HostPlan {
  return {
    links: [{ name: 'eth0', network: 'lan', addresses: [ipv4, ipv6] }],
    routes: [
      { to: 'default', via: '192.168.1.1', link: 'eth0' },
      { to: 'default6', via: 'fe80::1', link: 'eth0' }
    ]
  }
}

// The default home, its router and the internet.
export const home: HostPlan = host('lan', '192.168.1.2/24', '192.168.1.1')
export const neighbour: HostPlan = host('lan', '192.168.1.3/24', '192.168.1.1')
export const internet: HostPlan = host('wan', '11.0.0.1/24')
export const homeRouter = (plan: Partial<RouterPlan>): HostPlan =>
  router(['lan', '192.168.1.1/24'], ['wan', '11.0.0.2/24', '11.0.0.1'], plan)

/** Returns a topology with one router between the LAN and the internet. */
export const behindOne = (name: TopologyName, description: string, plan: Partial<RouterPlan>): NamedTopology => ({
  name,
  description,
  hosts: { home, neighbour, router: homeRouter(plan), internet }
})
