import { plugSteps } from './delays.js'
import { dnsSteps, resolverSteps } from './dns-server.js'
import { lifetimeSteps } from './filtering.js'
import { hairpinSteps, turnsRound } from './hairpin.js'
import { hostFirewallRules } from './host-firewall.js'
import { portalSteps } from './portal.js'
import type { RouterFacts } from './router-files.js'
import { daemonConfig, nftRules, routerFolder, startScript } from './router-files.js'
import { stunSteps } from './stun-server.js'
import type { HostPlan, LinkPlan, RoutePlan, Topology } from './topology.js'
import { translatorSteps } from './translator.js'

/** The bridge of each network, and the bridge port of each link by `host/link`. Interface names must be short. */
export interface Cabling {
  readonly bridges: ReadonlyMap<string, string>
  readonly ports: ReadonlyMap<string, string>
}

/** Numbers the networks and links of a topology. */
export function cable(topology: Topology): Cabling {
  const bridges = new Map<string, string>()
  const ports = new Map<string, string>()
  for (const [host, { links }] of Object.entries(topology.hosts)) {
    for (const { name, network } of links) {
      if (!bridges.has(network)) bridges.set(network, `net${bridges.size}`)
      ports.set(`${host}/${name}`, `port${ports.size}`)
    }
  }
  return { bridges, ports }
}

/** Returns the POSIX sh script that builds a topology in new namespaces. */
export function setupScript(topology: Topology, routers: readonly RouterFacts[], debug: boolean): string {
  const steps = [
    mountSteps,
    // The namespace of the cables is not a host and must send nothing.
    'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6',
    heredoc('ip -batch -', cableBatch(topology)),
    resolverSteps(topology)
  ]
  for (const [name, host] of Object.entries(topology.hosts)) {
    const router = routers.find((facts) => facts.name === name)
    steps.push(heredoc(`ip netns exec ${name} sh -e`, hostSteps(name, host, router, debug)))
  }
  return steps.join('\n')
}

/** The first steps in new namespaces, which `canRunLab` also tries. */
export const mountSteps: string = `mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/lab
mount -t proc proc /proc 2> /dev/null || true`

function cableBatch(topology: Topology): string {
  const { bridges, ports } = cable(topology)
  const lines: string[] = []
  for (const bridge of bridges.values()) {
    lines.push(`link add ${bridge} type bridge mcast_snooping 0`, `link set ${bridge} up`)
  }
  for (const [host, { links, router }] of Object.entries(topology.hosts)) {
    lines.push(`netns add ${host}`)
    for (const { name, network } of links) {
      const port = ports.get(`${host}/${name}`) ?? ''
      lines.push(`link add ${port} type veth peer name ${name} netns ${host}`)
      lines.push(plugSteps(port, bridges.get(network) ?? '', turnsRound(router, name)))
    }
  }
  return lines.join('\n')
}

function hostSteps(name: string, host: HostPlan, router: RouterFacts | undefined, debug: boolean): string {
  const steps = [
    // No duplicate address detection is needed, so addresses are usable immediately.
    'for conf in /proc/sys/net/ipv6/conf/*; do echo 0 > $conf/accept_dad; done',
    'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter'
  ]
  if (router !== undefined) {
    steps.push('echo 1 > /proc/sys/net/ipv4/ip_forward', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding')
    steps.push(heredoc('nft -f -', nftRules(router)), lifetimeSteps(router.plan))
  }
  const firewall = hostFirewallRules(host)
  if (firewall !== undefined) steps.push(heredoc('nft -f -', firewall))
  const links = host.links.filter(({ down }) => down !== true).map((link) => linkBatch(link, host.routes))
  steps.push(heredoc('ip -batch -', ['link set lo up', ...links].join('\n')))
  if (router?.plan.proxyArp) {
    steps.push(`echo 1 > /proc/sys/net/ipv4/conf/${router.plan.lan}/proxy_arp`)
    // By default, proxy ARP answers after up to 0.8 s.
    steps.push(`echo 0 > /proc/sys/net/ipv4/neigh/${router.plan.lan}/proxy_delay`)
  }
  if (router !== undefined) steps.push(hairpinSteps(router.plan))
  steps.push(stunSteps(name, host), dnsSteps(name, host), translatorSteps(name, host))
  const config = router && daemonConfig(router)
  if (router !== undefined) steps.push(portalSteps(name, router.plan))
  if (router !== undefined) steps.push(`mkdir -p ${routerFolder(router.name)}`)
  if (router !== undefined && config !== undefined) {
    steps.push(heredoc(`cat > ${routerFolder(router.name)}/miniupnpd.conf`, config), startScript(router, debug))
  }
  return steps.join('\n')
}

/** Returns the lines for `ip -batch` that bring a link up with its addresses and routes. Idempotent. */
export function linkBatch(link: LinkPlan, routes: readonly RoutePlan[]): string {
  const lines = [`link set ${link.name} up`]
  for (const address of link.addresses) {
    lines.push(`addr replace ${address} dev ${link.name}${address.includes(':') ? ' nodad' : ''}`)
  }
  for (const { to, via, metric } of routes.filter((route) => route.link === link.name)) {
    const hop = via === undefined ? '' : ` via ${via}`
    const cost = metric === undefined ? '' : ` metric ${metric}`
    // Without a next hop, `default` would mean IPv4.
    lines.push(`route replace ${to === 'default6' ? '::/0' : to}${hop} dev ${link.name}${cost}`)
  }
  return lines.join('\n')
}

/** Returns a heredoc that passes `text` to a command. Heredocs may be nested, so each has its own delimiter. */
function heredoc(command: string, text: string): string {
  let level = 0
  while (text.includes(`END${level}`)) level += 1
  return `${command} << 'END${level}'\n${text}\nEND${level}`
}
