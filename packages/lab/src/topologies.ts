import { overIPv6 } from './over-ipv6.js'
import {
  all,
  behindOne,
  dualStackHost,
  home,
  homeRouter,
  host,
  internet,
  neighbour,
  router,
  upnpOnly
} from './plans.js'
import { reachable } from './reachable.js'
import type { RouterPlan } from './topology.js'
import type { NamedTopology, TopologyName } from './topology-names.js'
import { twoRouters } from './two-routers.js'

// Addresses that look public are from 11.0.0.0/8, 12.0.0.0/8 and 2a00::/16, since routers grant nothing on addresses
// that are reserved for documentation. No packet leaves a lab.

/** Returns a topology with two routers: the home router, and that of the access provider. */
const behindTwo = (
  name: TopologyName,
  description: string,
  access: string,
  mapping: RouterPlan['mapping']
): NamedTopology => ({
  name,
  description,
  hosts: {
    home,
    neighbour,
    router: router(['lan', '192.168.1.1/24'], ['access', `${access}.2/24`, `${access}.1`], { mapping }),
    isp: router(['access', `${access}.1/24`], ['wan', '11.0.0.2/24', '11.0.0.1'], {}),
    internet
  }
})

/** Every topology of the lab, in the order of `postern-lab list`. */
export const topologies: readonly NamedTopology[] = [
  behindOne('home', 'A home router with UPnP (IGD:2), NAT-PMP and PCP.', { mapping: all }),
  behindOne('home-upnp', 'A home router with UPnP (IGD:2) only.', { mapping: upnpOnly }),
  behindOne('home-igd1', 'A home router with UPnP IGD:1 only.', { mapping: { ...upnpOnly, upnp: 'igd1' } }),
  behindOne('home-nat-pmp', 'A home router with NAT-PMP only; PCP requests are dropped.', {
    mapping: { upnp: false, natPmp: true, pcp: false }
  }),
  behindOne('home-pcp', 'A home router with PCP only; NAT-PMP requests are dropped.', {
    mapping: { upnp: false, natPmp: false, pcp: true }
  }),
  behindOne('home-reject', 'As home, but unsolicited packets from outside are refused instead of dropped.', {
    mapping: all,
    wanInput: 'reject'
  }),
  behindOne('no-daemon', 'A home router without a mapping service: its ports are closed.', { mapping: 'refused' }),
  behindOne('silent', 'A home router that drops every mapping request without an answer.', { mapping: 'silent' }),
  behindOne('udp-blocked', 'A home router that forwards TCP only and drops every mapping request.', {
    mapping: 'silent',
    forwards: 'tcp'
  }),
  behindOne('symmetric', 'A symmetric NAT without a mapping service: a random port for each destination.', {
    nat: 'symmetric'
  }),
  ...reachable,
  behindTwo('double-nat', 'A home router behind another NAT, with a private WAN address (10/8).', '10.0.0', all),
  behindTwo('double-nat-upnp', 'As double-nat, with UPnP only.', '10.0.0', upnpOnly),
  behindTwo(
    'carrier-nat',
    'A home router behind a carrier-grade NAT, with a WAN address from 100.64/10.',
    '100.64.0',
    all
  ),
  behindTwo('carrier-nat-upnp', 'As carrier-nat, with UPnP only.', '100.64.0', upnpOnly),
  behindTwo(
    'lying',
    'As double-nat, but the router claims and grants a public address that is not reachable.',
    '10.0.0',
    {
      ...all,
      claimedAddress: '11.0.0.2'
    }
  ),
  ...twoRouters,
  {
    name: 'ipv6-firewall',
    description: 'Dual stack: as home for IPv4; IPv6 is routed behind a firewall with pinholes by PCP and UPnP.',
    hosts: {
      home: dualStackHost('192.168.1.2/24', '2a00:1::2/64'),
      neighbour: dualStackHost('192.168.1.3/24', '2a00:1::3/64'),
      router: {
        links: [
          { name: 'lan', network: 'lan', addresses: ['192.168.1.1/24', '2a00:1::1/64', 'fe80::1/64'] },
          { name: 'wan', network: 'wan', addresses: ['11.0.0.2/24', '2a00:2::2/64'] }
        ],
        routes: [
          { to: 'default', via: '11.0.0.1', link: 'wan' },
          { to: 'default6', via: '2a00:2::1', link: 'wan' }
        ],
        router: {
          lan: 'lan',
          wan: 'wan',
          nat: 'port-preserving',
          wanInput: 'drop',
          mapping: { ...all, ipv6: true }
        }
      },
      internet: {
        links: [{ name: 'eth0', network: 'wan', addresses: ['11.0.0.1/24', '2a00:2::1/64'] }],
        routes: [{ to: '2a00:1::/64', via: '2a00:2::2', link: 'eth0' }]
      }
    }
  },
  ...overIPv6,
  behindOne('captive-portal', 'As home, and the router leads every web page to its login page.', {
    mapping: all,
    captivePortal: 'http://192.168.1.1:8880/login?mac=00-00-5e-00-53-01'
  }),
  {
    name: 'host-firewall',
    description: 'As home, and the firewall of the host itself lets in TCP port 8080 only.',
    hosts: { home: { ...home, firewall: { ports: [8080] } }, neighbour, router: homeRouter({ mapping: all }), internet }
  },
  {
    name: 'container-bridge',
    description: 'A container on a bridge (172.17/16) of a machine behind a home router with mapping services.',
    hosts: {
      home: host('bridge', '172.17.0.2/16', '172.17.0.1'),
      machine: {
        links: [
          { name: 'docker0', network: 'bridge', addresses: ['172.17.0.1/16'] },
          { name: 'eth0', network: 'lan', addresses: ['192.168.1.2/24'] }
        ],
        routes: [{ to: 'default', via: '192.168.1.1', link: 'eth0' }],
        router: { lan: 'docker0', wan: 'eth0', nat: 'port-preserving', wanInput: 'reject', mapping: 'refused' }
      },
      neighbour,
      router: homeRouter({ mapping: all }),
      internet
    }
  },
  {
    name: 'vpn-default-route',
    description: 'A home with a default route through a tunnel without a next hop; the LAN router still maps.',
    hosts: {
      home: {
        links: [
          { name: 'eth0', network: 'lan', addresses: ['192.168.1.2/24'] },
          { name: 'tun0', network: 'tunnel', addresses: ['10.8.0.2/32'] }
        ],
        routes: [
          { to: 'default', link: 'tun0', metric: 50 },
          { to: 'default', via: '192.168.1.1', link: 'eth0', metric: 600 }
        ]
      },
      neighbour,
      router: homeRouter({ mapping: all }),
      vpn: {
        links: [
          { name: 'tunnel', network: 'tunnel', addresses: ['10.8.0.1/24'] },
          { name: 'eth0', network: 'wan', addresses: ['11.0.0.8/24'] }
        ],
        routes: [{ to: 'default', via: '11.0.0.1', link: 'eth0' }],
        router: {
          lan: 'tunnel',
          wan: 'eth0',
          nat: 'port-preserving',
          wanInput: 'drop',
          mapping: 'silent',
          proxyArp: true
        }
      },
      internet
    }
  }
]

/** Returns a topology by name. Throws a TypeError that lists the existing names. */
export function getTopology(name: string): NamedTopology {
  const topology = findTopology(name)
  if (topology !== undefined) return topology
  throw new TypeError(
    `There is no topology ${name}: the topologies are ${topologies.map((each) => each.name).join(', ')}`
  )
}

/** Finds a topology by name; undefined if there is none. */
export function findTopology(name: string): NamedTopology | undefined {
  return topologies.find((topology) => topology.name === name)
}
