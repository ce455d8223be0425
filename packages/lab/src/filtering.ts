import type { RouterPlan } from './topology.js'

/** RFC 4787, section 4.3 (REQ-5): a mapping for UDP lives at least two minutes after its last datagram outwards. */
const mappingLifetime = '2m'

/**
 * What conntrack does not do by itself: lets datagrams in from others than those who were sent something (RFC 4787,
 * section 5). Each datagram outwards notes which host and port has the external port; from outside, the note is where a
 * datagram without a connection goes. Two hosts with one port of the router share it, by remote address: conntrack
 * allows that, and whoever sent first is who is found.
 */
export interface FilteringRules {
  /** Statements of the table. */
  readonly table: string
  /** Statements of the chain that translates destinations. */
  readonly prerouting: string
  /** Statements of the chain that forwards. */
  readonly forward: string
}

/** Rules for a router; empty where it filters as conntrack does. */
export function filteringRules({ filtering = 'address-and-port-dependent', lan, wan }: RouterPlan): FilteringRules {
  if (filtering === 'address-and-port-dependent') return { table: '', prerouting: '', forward: '' }
  const byAddress = filtering === 'address-dependent'
  return {
    table: `
  map ${mapName} {
    type inet_service${byAddress ? ' . ipv4_addr' : ''} : ipv4_addr . inet_service
    size 65535
    flags dynamic,timeout
    timeout ${mappingLifetime}
  }
  chain notes {
    # After the translation of the source, so that the port is the external one.
    type filter hook postrouting priority srcnat + 1
    iifname ${lan} oifname ${wan} meta nfproto ipv4 meta l4proto udp update @${mapName} { udp sport${byAddress ? ' . ip daddr' : ''} : ct original ip saddr . ct original proto-src }
  }`,
    prerouting: `iifname ${wan} meta nfproto ipv4 meta l4proto udp dnat ip to udp dport${byAddress ? ' . ip saddr' : ''} map @${mapName}`,
    forward: `iifname ${wan} meta nfproto ipv4 meta l4proto udp ct status dnat accept`
  }
}

/** Forgets who may be reached from outside, as a reboot does; POSIX sh, empty where nothing is noted. */
export function forgetNotes(plan: RouterPlan): string {
  return filteringRules(plan).table === '' ? '' : `nft flush map inet router ${mapName}`
}

const mapName = 'noted'
