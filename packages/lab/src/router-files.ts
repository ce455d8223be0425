import { filteringRules } from './filtering.js'
import { hairpinRules } from './hairpin.js'
import { inboundRules } from './inbound.js'
import { newerDaemon } from './newer-daemon.js'
import { portalRules } from './portal.js'
import type { HostPlan, RouterPlan } from './topology.js'
import { translatorRules } from './translator.js'

/** The data for the files of one router. */
export interface RouterFacts {
  readonly name: string
  readonly plan: RouterPlan
  /** The IPv4 address and prefix length on the LAN, as in `192.168.1.1/24`. */
  readonly lanAddress: string
  readonly controlPort: number
  /** The translator of the host, if it has one. */
  readonly translator?: HostPlan['translator']
}

/** Returns the folder of a router's files inside the lab. */
export const routerFolder = (name: string): string => `/run/lab/${name}`

export function routerFacts(name: string, host: HostPlan, controlPort: number): RouterFacts | undefined {
  const plan = host.router
  if (plan === undefined) return undefined
  const addresses = host.links.find((link) => link.name === plan.lan)?.addresses ?? []
  const lanAddress = addresses.find((address) => !address.includes(':'))
  if (lanAddress === undefined)
    throw new TypeError(`The router ${name} has no IPv4 address on its LAN link ${plan.lan}`)
  const { translator } = host
  return { name, plan, lanAddress, controlPort, ...(translator === undefined ? {} : { translator }) }
}

/** Returns NAT, firewall and counters as input for `nft -f`. miniupnpd adds its rules to the chains with its name. */
export function nftRules({ plan, controlPort, translator }: RouterFacts): string {
  const { lan, wan } = plan
  const filtering = filteringRules(plan)
  const inbound = inboundRules(plan, (condition) => unwantedRules(plan, condition))
  const unwanted = unwantedRules(plan).join('\n    ')
  return `
table inet router {
  chain miniupnpd {}
  chain prerouting_miniupnpd {}
  chain postrouting_miniupnpd {}${filtering.table}${hairpinRules(plan)}

  chain prerouting {
    type nat hook prerouting priority dstnat
    jump prerouting_miniupnpd
    ${portalRules(plan).join('\n    ')}
    ${inbound.portForwards.join('\n    ')}
    ${filtering.prerouting}
    ${inbound.exposedHost}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    jump postrouting_miniupnpd
    ${sourceRules(plan).join('\n    ')}
  }
  chain forward {
    type filter hook forward priority filter; policy drop
    ct state established,related accept
    iifname ${lan} oifname ${wan}${plan.forwards === 'tcp' ? ' meta l4proto tcp' : ''} accept
    ${translatorRules(translator, plan).join('\n    ')}
    # Without ICMPv6 there is no neighbour discovery, no path MTU and, in tests, no clear cause.
    meta l4proto ipv6-icmp accept
    jump miniupnpd
    ${inbound.forward.join('\n    ')}
    ${filtering.forward}
    ${unwanted}
  }
  chain input {
    type filter hook input priority filter
    ct state established,related accept
    meta l4proto ipv6-icmp accept
    ${unwanted}
    jump mapping
  }
  chain mapping {
    ${mappingRules(plan, controlPort).join('\n    ')}
  }
}
table inet count {
  counter natpmp {}
  counter ssdp {}
  counter control {}
  chain prerouting {
    type filter hook prerouting priority raw
    ${countRules(plan, controlPort).join('\n    ')}
  }
}
`
}

/** Returns the rules that translate sources. */
function sourceRules({ wan, nat }: RouterPlan): string[] {
  const outbound = `meta nfproto ipv4 oifname ${wan}`
  const masquerade = `${outbound} masquerade${nat === 'symmetric' ? ' fully-random' : ''}`
  if (nat !== 'port-changing') return [masquerade]
  // Port 16384 would become 0, so it keeps its number.
  const changed = 'meta l4proto { tcp, udp } th sport != 16384 masquerade to :th sport ^ 16384'
  return [`${outbound} ${changed}`, masquerade]
}

/** Returns the rules for unsolicited packets from outside. `icmpx` is ICMP or ICMPv6, depending on the packet. */
function unwantedRules({ wan, wanInput }: RouterPlan, condition = ''): string[] {
  const rule = (rest: string): string => `iifname ${wan} ${condition} ${rest}`
  if (wanInput === 'drop') return [rule('drop')]
  if (wanInput === 'icmp-prohibited') return [rule('reject with icmpx type admin-prohibited')]
  const datagrams = rule('reject with icmpx type port-unreachable')
  return wanInput === 'icmp' ? [datagrams] : [rule('meta l4proto tcp reject with tcp reset'), datagrams]
}

/**
 * Returns the rules that drop mapping requests. The first byte of a request to 5351 is the version: 0 is NAT-PMP, 2 is
 * PCP.
 */
function mappingRules({ lan, mapping }: RouterPlan, controlPort: number): string[] {
  if (mapping === 'refused') return []
  if (mapping === 'silent')
    return [`iifname ${lan} udp dport { 1900, 5351 } drop`, `iifname ${lan} tcp dport ${controlPort} drop`]
  if (mapping.natPmp === mapping.pcp) return []
  return [`iifname ${lan} udp dport 5351 @th,64,8 ${mapping.pcp ? '0x00' : '0x02'} drop`]
}

function countRules({ lan }: RouterPlan, controlPort: number): string[] {
  return [
    `iifname ${lan} udp dport 5351 counter name "natpmp"`,
    `iifname ${lan} udp dport 1900 counter name "ssdp"`,
    `iifname ${lan} tcp dport ${controlPort} counter name "control"`
  ]
}

/** Returns the rules that count another control port. The counters keep their values. */
export function recountRules({ plan, controlPort }: RouterFacts): string {
  const add = (rule: string): string => `add rule inet count prerouting ${rule}`
  return ['flush chain inet count prerouting', ...countRules(plan, controlPort).map(add)].join('\n')
}

/** Returns miniupnpd.conf; undefined if the router has no daemon. */
export function daemonConfig({ name, plan, lanAddress, controlPort }: RouterFacts): string | undefined {
  const { mapping } = plan
  if (typeof mapping === 'string') return undefined
  const yes = (value: boolean): string => (value ? 'yes' : 'no')
  return `
ext_ifname=${plan.wan}
${mapping.claimedAddress === undefined ? '' : `ext_ip=${mapping.claimedAddress}`}
${mapping.mapsBehindNat === true ? 'ext_allow_private_ipv4=yes' : ''}
listening_ip=${plan.lan}
ipv6_disable=${yes(mapping.ipv6 !== true)}
http_port=${controlPort}
enable_upnp=${yes(mapping.upnp !== false)}
force_igd_desc_v1=${yes(mapping.upnp === 'igd1')}
enable_natpmp=${yes(mapping.natPmp || mapping.pcp)}
secure_mode=yes
# The epoch counts from the start of the daemon, so that a restart looks like a reboot.
system_uptime=no
min_lifetime=120
max_lifetime=86400
lease_file=${routerFolder(name)}/leases
uuid=${uuid(name)}
friendly_name=${name}
${mapping.device === undefined ? '' : `manufacturer_name=${mapping.device.manufacturer}\nmodel_name=${mapping.device.model}`}
upnp_table_name=router
upnp_nat_table_name=router
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 ${lanAddress} 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`.trim()
}

/** Returns whether a router needs the newer daemon. */
export const isNewer = (mapping: RouterPlan['mapping']): boolean =>
  typeof mapping !== 'string' && mapping.mapsBehindNat === true

/** Returns the UUID of a router. It depends on the name only, as a real router keeps its UUID. */
function uuid(name: string): string {
  const hex = Buffer.from(name).toString('hex').padStart(12, '0').slice(-12)
  return `6c616200-0000-4000-8000-${hex}`
}

/** Returns the POSIX sh script that starts the daemon in the router and waits until its sockets are open. */
export function startScript({ name, plan, controlPort }: RouterFacts, debug: boolean): string {
  const { mapping } = plan
  if (typeof mapping === 'string') return ''
  const folder = routerFolder(name)
  const port = (number: number): string => `:${number.toString(16).toUpperCase().padStart(4, '0')} `
  const conditions: string[] = []
  for (const file of mapping.ipv6 === true ? ['udp', 'udp6'] : ['udp']) {
    if (mapping.natPmp || mapping.pcp) conditions.push(`grep -qs '${port(5351)}' /proc/net/${file}`)
    if (mapping.upnp !== false) conditions.push(`grep -qs '${port(1900)}' /proc/net/${file}`)
  }
  if (mapping.upnp !== false) {
    conditions.push(`grep -qs '${port(controlPort)}' /proc/net/tcp /proc/net/tcp6`)
  }
  const daemon = isNewer(mapping) ? newerDaemon : 'miniupnpd'
  const program = `${daemon} -f ${folder}/miniupnpd.conf -P ${folder}/pid`
  // Without -d, the daemon goes to the background and logs to syslog only. With -d, every request is slower.
  const start = debug ? `${program} -d >> ${folder}/log 2>&1 < /dev/null &` : `${program} < /dev/null`
  return `
${start}
tries=0
until ${conditions.join(' && ')}; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ]; then echo "miniupnpd of ${name} did not open its ports" >&2; exit 1; fi
  sleep 0.01
done`
}

/**
 * Returns the script that stops the daemon and waits for its end. KILL acts like a power cut; with TERM the daemon
 * sends byebye.
 */
export function stopScript(name: string, signal: 'KILL' | 'TERM'): string {
  const file = `${routerFolder(name)}/pid`
  return `
if [ -s ${file} ]; then
  pid=$(cat ${file})
  kill -${signal} "$pid" 2> /dev/null || true
  tries=0
  # No parent collects the process, so it stays as a zombie. A process without a command line has ended.
  while [ -n "$(tr -d '\\0' 2> /dev/null < /proc/$pid/cmdline)" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 500 ]; then echo "miniupnpd of ${name} did not stop" >&2; exit 1; fi
    sleep 0.01
  done
  rm -f ${file}
fi`
}
