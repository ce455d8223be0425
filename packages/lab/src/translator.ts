import type { HostPlan, RouterPlan, TranslatorPlan } from './topology.js'

/** The name of the interface of a translator. */
const interfaceOf = { nat64: 'nat64', clat: 'clat' } as const

/**
 * Returns the POSIX sh steps that start TAYGA on a host with its links up, and route the translated addresses to it.
 *
 * A NAT64 translates the IPv6 hosts of the LAN to private IPv4 addresses, which the router then masquerades (RFC 6146). A CLAT
 * translates the IPv4 address of its host to one IPv6 address (RFC 6877).
 */
export function translatorSteps(name: string, { translator }: HostPlan): string {
  if (translator === undefined) return ''
  const folder = `/run/lab/${name}`
  const device = interfaceOf[translator.kind]
  const config = `${folder}/tayga.conf`
  return `
[ -c /dev/net/tun ] || { echo "the translator of ${name} needs /dev/net/tun" >&2; exit 1; }
mkdir -p ${folder}
printf '%s\\n' '${configLines(translator, folder).join("' '")}' > ${config}
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
tayga --config ${config} --mktun > /dev/null
ip link set ${device} up
${routes(translator)
  .map((route) => `ip ${route}`)
  .join('\n')}
tayga --config ${config} --pidfile ${folder}/tayga.pid < /dev/null > /dev/null 2>&1`
}

const configLines = (translator: TranslatorPlan, folder: string): readonly string[] => [
  `tun-device ${interfaceOf[translator.kind]}`,
  `prefix ${translator.prefix}`,
  `ipv6-addr ${translator.ipv6}`,
  `data-dir ${folder}`,
  ...(translator.kind === 'nat64'
    ? ['ipv4-addr 192.168.255.1', 'dynamic-pool 192.168.255.0/24']
    : ['ipv4-addr 192.0.0.6', `map ${translator.ipv4} ${translator.mapped}`])
]

const routes = (translator: TranslatorPlan): readonly string[] =>
  translator.kind === 'nat64'
    ? [
        'route replace 192.168.255.0/24 dev nat64',
        `-6 route replace ${translator.prefix} dev nat64`,
        `-6 route replace ${translator.ipv6}/128 dev nat64`
      ]
    : [
        `addr replace ${translator.ipv4}/32 dev clat`,
        'route replace default dev clat',
        `-6 route replace ${translator.mapped}/128 dev clat`,
        `-6 route replace ${translator.ipv6}/128 dev clat`
      ]

/** Returns the rules of the forward chain that let hosts of the LAN through a NAT64. */
export const translatorRules = (translator: HostPlan['translator'], { lan, wan }: RouterPlan): readonly string[] =>
  translator?.kind === 'nat64' ? [`iifname ${lan} oifname nat64 accept`, `iifname nat64 oifname ${wan} accept`] : []
