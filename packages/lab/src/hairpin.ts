import type { RouterPlan } from './topology.js'

// Link-local: an address that only this router's neighbour table knows.
const mirror = '169.254.255.254'
const table = 100
const mark = '0x1'

/** Marks what the LAN sends to an address of the router's other side. Statements of the router's nft table. */
export function hairpinRules({ hairpin = false, lan }: RouterPlan): string {
  if (!hairpin) return ''
  return `
  chain hairpin {
    type filter hook prerouting priority mangle
    iifname ${lan} meta nfproto ipv4 fib daddr type local fib daddr . iif type != local meta mark set ${mark}
  }`
}

/**
 * Sends what is marked out of the WAN side, where the bridge turns it round, so that it is translated, filtered and
 * mapped as if it came from outside, whoever wrote the rules: RFC 4787, section 6, "external source IP address and
 * port". Answers take the same way back. POSIX sh, in the router, with its links up.
 */
export function hairpinSteps({ hairpin = false, wan }: RouterPlan): string {
  if (!hairpin) return ''
  return `
echo 1 > /proc/sys/net/ipv4/conf/${wan}/accept_local
ip rule add pref 2 lookup local
ip rule del pref 0
ip rule add pref 1 fwmark ${mark} lookup ${table}
${mirrorSteps(wan)}`
}

/** Where the way round leads; to be said again when the link was down. */
export function mirrorSteps(wan: string): string {
  return `ip neigh replace ${mirror} lladdr "$(cat /sys/class/net/${wan}/address)" dev ${wan} nud permanent
ip route replace default via ${mirror} dev ${wan} onlink table ${table}`
}
