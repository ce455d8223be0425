import type { RouterPlan } from './topology.js'

/** RFC 4787, section 4.3 (REQ-5): a UDP mapping lives at least two minutes after its last outbound datagram. */
const defaultLifetimeMs = 120_000

/**
 * The nft rules that admit datagrams from remote endpoints to which the LAN has sent nothing (RFC 4787, section 5),
 * which conntrack alone does not. Each outbound datagram records the host and port of an external port, and inbound
 * datagrams without a connection go to that host. Conntrack may give one external port to two hosts with different
 * remote addresses; then the host that sent first receives the datagrams.
 */
export interface FilteringRules {
  /** The statements of the table. */
  readonly table: string
  /** The statements of the chain that translates destinations. */
  readonly prerouting: string
  /** The statements of the chain that forwards. */
  readonly forward: string
}

/** Returns the rules for a router; empty if it filters as conntrack does. */
export function filteringRules({
  filtering = 'address-and-port-dependent',
  lan,
  wan,
  mappingLifetimeMs = defaultLifetimeMs
}: RouterPlan): FilteringRules {
  if (filtering === 'address-and-port-dependent') return { table: '', prerouting: '', forward: '' }
  const byAddress = filtering === 'address-dependent'
  const outbound = `iifname ${lan} oifname ${wan} meta nfproto ipv4 meta l4proto udp`
  /** Records the sender of a datagram, which is the source of the tuple of its direction. */
  const note = (direction: 'original' | 'reply'): string =>
    `${outbound} ct direction ${direction} update @${mapName} { udp sport${byAddress ? ' . ip daddr' : ''} : ct ${direction} ip saddr . ct ${direction} proto-src }`
  return {
    table: `
  map ${mapName} {
    type inet_service${byAddress ? ' . ipv4_addr' : ''} : ipv4_addr . inet_service
    size 65535
    flags dynamic,timeout
    timeout ${mappingLifetimeMs / 1000}s
  }
  chain notes {
    # After the translation of the source, so that the port is the external one.
    type filter hook postrouting priority srcnat + 1
    ${note('original')}
    ${note('reply')}
  }`,
    prerouting: `iifname ${wan} meta nfproto ipv4 meta l4proto udp dnat ip to udp dport${byAddress ? ' . ip saddr' : ''} map @${mapName}`,
    forward: `iifname ${wan} meta nfproto ipv4 meta l4proto udp ct status dnat accept`
  }
}

/** Returns the POSIX sh step that deletes the recorded hosts, as a reboot does; empty if nothing is recorded. */
export function forgetNotes(plan: RouterPlan): string {
  return filteringRules(plan).table === '' ? '' : `nft flush map inet router ${mapName}`
}

/**
 * Returns the POSIX sh steps that set the lifetime of the UDP mappings of conntrack, which it counts in seconds. They
 * follow the nft rules, since conntrack is not active before.
 */
export function lifetimeSteps({ mappingLifetimeMs }: RouterPlan): string {
  if (mappingLifetimeMs === undefined) return ''
  return ['udp_timeout', 'udp_timeout_stream']
    .map((name) => `echo ${mappingLifetimeMs / 1000} > /proc/sys/net/netfilter/nf_conntrack_${name}`)
    .join('\n')
}

const mapName = 'noted'
