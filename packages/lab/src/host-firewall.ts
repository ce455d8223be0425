import type { HostPlan } from './topology.js'

/**
 * Returns the nft rules of a host with a firewall of its own; undefined without one. They are what a distribution would load from
 * `/etc/nftables.conf`: replies, loopback, the LAN, ICMP and the named TCP ports pass, and the policy drops the rest.
 */
export function hostFirewallRules({ firewall, links }: HostPlan): string | undefined {
  if (firewall === undefined) return undefined
  const { ports } = firewall
  // Routers answer unicast requests, and searches, from an address of the LAN.
  const neighbours = links.flatMap(({ addresses }) => addresses.filter((address) => !address.includes(':')))
  return `table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state { established, related } accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    ${neighbours.length === 0 ? '' : `ip saddr { ${neighbours.join(', ')} } accept`}
    ${ports.length === 0 ? '' : `tcp dport { ${ports.join(', ')} } accept`}
  }
}`
}
