import type { RouterPlan } from './topology.js'

// A link-local address that exists only in the neighbour table of this router.
const mirror = '169.254.255.254'
const table = 100
const mark = '0x1'

/** Returns the nft statements that mark packets from the LAN to the external address of the router. */
export function hairpinRules({ hairpin = false, lan }: RouterPlan): string {
  if (!hairpin) return ''
  return `
  chain hairpin {
    type filter hook prerouting priority mangle
    iifname ${lan} meta nfproto ipv4 fib daddr type local fib daddr . iif type != local meta mark set ${mark}
  }`
}

/** Returns whether the bridge must send frames of this router link back to it. */
export function turnsRound(router: RouterPlan | undefined, link: string): boolean {
  return router?.hairpin === true && router.wan === link
}

/**
 * Returns the POSIX sh steps of a hairpin, to be run in the router with its links up. Marked packets leave through the
 * WAN link, where the bridge sends them back. They are then translated, filtered and mapped as if they came from
 * outside, by the rules of the router and of the daemon: RFC 4787, section 6, "external source IP address and port".
 * Answers take the same path back.
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

/** Returns the steps for the neighbour and route of the hairpin. They must be repeated after the link was down. */
export function mirrorSteps(wan: string): string {
  return `ip neigh replace ${mirror} lladdr "$(cat /sys/class/net/${wan}/address)" dev ${wan} nud permanent
ip route replace default via ${mirror} dev ${wan} onlink table ${table}`
}
