/** An active port mapping or pinhole of a router. */
export interface Rule {
  /** The address family. */
  readonly family: 4 | 6
  /** The transport protocol. */
  readonly protocol: 'tcp' | 'udp'
  /** The external port. For IPv6 it equals the internal port, since a pinhole does not translate. */
  readonly externalPort: number
  /** The address of the host. */
  readonly internalAddress: string
  /** The port of the host. */
  readonly internalPort: number
}

/**
 * Parses miniupnpd's rules from the text of its two nft chains. `dnat` rules of the nat chain are IPv4 mappings;
 * `accept` rules of the filter chain with an IPv6 destination are pinholes. The IPv4 rules of the filter chain belong
 * to the mappings and are skipped.
 */
export function parseRules(natChain: string, filterChain: string): Rule[] {
  const rules: Rule[] = []
  for (const line of natChain.split('\n')) {
    const target = /dnat (?:ip )?to ([\d.]+):(\d+)/.exec(line)
    const port = /th dport (\d+)/.exec(line)
    const protocol = protocolOf(line)
    if (!target?.[1] || !port || protocol === undefined) continue
    rules.push({
      family: 4,
      protocol,
      externalPort: Number(port[1]),
      internalAddress: target[1],
      internalPort: Number(target[2])
    })
  }
  for (const line of filterChain.split('\n')) {
    // Older versions of nft print the destination as 128 raw bits at bit 192 of the IPv6 header.
    const raw = /@nh,192,128 0x([\da-f]+)/.exec(line)?.[1]
    const address = raw === undefined ? /ip6 daddr ([\da-f:]+)/.exec(line)?.[1] : ipv6Of(raw)
    const port = /th dport (\d+)/.exec(line)
    const protocol = protocolOf(line)
    if (address === undefined || !port || protocol === undefined) continue
    const number = Number(port[1])
    rules.push({ family: 6, protocol, externalPort: number, internalAddress: address, internalPort: number })
  }
  return rules
}

/**
 * Returns the protocol of a rule: byte 9 of an IPv4 header, byte 6 of an IPv6 header, or a name in newer versions of
 * nft.
 */
function protocolOf(line: string): 'tcp' | 'udp' | undefined {
  const raw = /@nh,(?:72|48),8 (0x[\da-f]+|\d+)/.exec(line)?.[1]
  if (raw !== undefined) return { 6: 'tcp' as const, 17: 'udp' as const }[Number(raw)]
  const named = /(?:ip protocol|ip6 nexthdr|l4proto) (tcp|udp|6|17)\b/.exec(line)?.[1]
  if (named === 'tcp' || named === '6') return 'tcp'
  return named === 'udp' || named === '17' ? 'udp' : undefined
}

function ipv6Of(hex: string): string {
  const groups = hex.padStart(32, '0').match(/.{4}/g) ?? []
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

/** The number of packets that the LAN has sent to the mapping services since the lab was opened. */
export interface Packets {
  /** UDP port 5351: NAT-PMP and PCP. */
  readonly natPmpAndPcp: number
  /** UDP port 1900: SSDP, unicast or multicast. */
  readonly ssdp: number
  /** TCP segments to the UPnP control port. */
  readonly control: number
}

/** Parses the output of `nft list counters table inet count`. */
export function parsePackets(text: string): Packets {
  const count = (name: string): number =>
    Number(new RegExp(`counter "?${name}"? \\{\\s*packets (\\d+)`).exec(text)?.[1] ?? Number.NaN)
  return { natPmpAndPcp: count('natpmp'), ssdp: count('ssdp'), control: count('control') }
}
