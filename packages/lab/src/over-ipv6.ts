import { all, home, neighbour, router } from './plans.js'
import type { HostPlan } from './topology.js'
import type { NamedTopology, TopologyName } from './topology-names.js'

/** The well-known prefix (RFC 6052 §2.1). */
const prefix = '64:ff9b::/96'
/** What a DNS64 answers for `ipv4only.arpa` with that prefix, and the real addresses of the name (RFC 7050, RFC 8880). */
const dns = { 'ipv4only.arpa': ['192.0.0.170', '192.0.0.171', '64:ff9b::c000:aa', '64:ff9b::c000:ab'] }

const onlyIPv6 = (address: string): HostPlan => ({
  links: [{ name: 'eth0', network: 'lan', addresses: [address] }],
  routes: [{ to: 'default6', via: 'fe80::1', link: 'eth0' }]
})

/** Returns a topology in which the LAN has IPv6 only, behind a NAT64 in its router. */
const behindNat64 = (name: TopologyName, description: string, host: HostPlan): NamedTopology => ({
  name,
  description,
  hosts: {
    home: host,
    neighbour: onlyIPv6('2a00:1::3/64'),
    router: {
      links: [
        { name: 'lan', network: 'lan', addresses: ['192.168.1.1/24', '2a00:1::1/64', 'fe80::1/64'] },
        { name: 'wan', network: 'wan', addresses: ['11.0.0.2/24', '2a00:2::2/64'] }
      ],
      routes: [
        { to: 'default', via: '11.0.0.1', link: 'wan' },
        { to: 'default6', via: '2a00:2::1', link: 'wan' },
        { to: '2a00:1:0:1::/64', via: '2a00:1::2', link: 'lan' }
      ],
      router: { lan: 'lan', wan: 'wan', nat: 'port-preserving', wanInput: 'drop', mapping: { ...all, ipv6: true } },
      dns,
      translator: { kind: 'nat64', prefix, ipv6: '2a00:1:0:64::1' }
    },
    internet: {
      links: [{ name: 'eth0', network: 'wan', addresses: ['11.0.0.1/24', '2a00:2::1/64'] }],
      routes: [{ to: '2a00:1::/32', via: '2a00:2::2', link: 'eth0' }]
    }
  }
})

/** Topologies in which IPv4 is carried over IPv6. */
export const overIPv6: readonly NamedTopology[] = [
  behindNat64(
    'nat64',
    'A LAN with IPv6 only, behind a NAT64 with DNS64; pinholes by PCP and UPnP.',
    onlyIPv6('2a00:1::2/64')
  ),
  behindNat64('464xlat', 'As nat64, and the host has an IPv4 address of its own by a CLAT (464XLAT).', {
    ...onlyIPv6('2a00:1::2/64'),
    translator: { kind: 'clat', prefix, ipv6: '2a00:1:0:1::6', ipv4: '192.0.0.1', mapped: '2a00:1:0:1::1' }
  }),
  {
    name: 'ds-lite',
    description: 'A home router with IPv4 through the tunnel of DS-Lite only; the provider translates (AFTR).',
    hosts: {
      home,
      neighbour,
      // The tunnel over IPv6 is a cable here: what is inside it is the same.
      router: router(['lan', '192.168.1.1/24'], ['tunnel', '192.0.0.2/29', '192.0.0.1'], { mapping: all }),
      aftr: router(['tunnel', '192.0.0.1/29'], ['wan', '11.0.0.2/24', '11.0.0.1'], {}),
      internet: { links: [{ name: 'eth0', network: 'wan', addresses: ['11.0.0.1/24'] }], routes: [] }
    }
  }
]
