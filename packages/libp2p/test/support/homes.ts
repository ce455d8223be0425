import { findTopology, type HostPlan, type Topology } from '@postern/lab'

/** A home with IPv6 only behind a firewall that admits replies only. Its router also has IPv4. */
const routed = (number: 1 | 2): readonly [home: HostPlan, router: HostPlan] => {
  const [lan, other] = [`lan${number}`, number === 1 ? 2 : 1]
  return [
    {
      links: [{ name: 'eth0', network: lan, addresses: [`2a00:${number}::2/64`] }],
      routes: [{ to: 'default6', via: 'fe80::1', link: 'eth0' }]
    },
    {
      links: [
        { name: 'lan', network: lan, addresses: [`192.168.${number}.1/24`, `2a00:${number}::1/64`, 'fe80::1/64'] },
        { name: 'wan', network: 'wan', addresses: [`11.0.0.1${number}/24`, `2a00:3::1${number}/64`] }
      ],
      routes: [
        { to: 'default6', via: '2a00:3::1', link: 'wan' },
        { to: `2a00:${other}::/64`, via: `2a00:3::1${other}`, link: 'wan' }
      ],
      router: { lan: 'lan', wan: 'wan', nat: 'port-preserving', wanInput: 'drop', mapping: 'refused' }
    }
  ]
}

const [firewalled, firewall] = routed(1)
const [firewalled2, firewall2] = routed(2)

/** Two homes with IPv6 only, each behind a firewall that admits no unsolicited packet. */
export const ipv6Homes: Topology = {
  name: 'ipv6-homes',
  description: 'Two homes with IPv6 alone, each behind a firewall.',
  hosts: {
    home: firewalled,
    router: firewall,
    home2: firewalled2,
    router2: firewall2,
    internet: {
      links: [{ name: 'eth0', network: 'wan', addresses: ['11.0.0.1/24', '2a00:3::1/64'] }],
      routes: [1, 2].map((number) => ({ to: `2a00:${number}::/64`, via: `2a00:3::1${number}`, link: 'eth0' }))
    }
  }
}

/** A laptop that can move from one home network to another, and a node in a third place. */
export const laptopAndHome: Topology = {
  name: 'laptop-and-home',
  description: 'A laptop on one of two LANs at a time, and a home elsewhere.',
  hosts: {
    ...findTopology('two-uplinks')?.hosts,
    home2: {
      links: [{ name: 'eth0', network: 'lan3', addresses: ['192.168.3.2/24'] }],
      routes: [{ to: 'default', via: '192.168.3.1', link: 'eth0' }]
    },
    router2: {
      links: [
        { name: 'lan', network: 'lan3', addresses: ['192.168.3.1/24'] },
        { name: 'wan', network: 'wan', addresses: ['12.0.0.3/24'] }
      ],
      routes: [
        { to: 'default', via: '12.0.0.1', link: 'wan' },
        { to: '11.0.0.0/8', link: 'wan' }
      ],
      router: { lan: 'lan', wan: 'wan', nat: 'port-preserving', wanInput: 'drop', mapping: 'refused' }
    }
  }
}
