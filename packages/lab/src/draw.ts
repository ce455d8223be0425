import type { HostPlan, LinkPlan, RouterPlan, Topology } from './topology.js'

/** Draws a topology as text: the networks from the inside out, each with its hosts and addresses. */
export function draw({ name, description, hosts }: Topology): string {
  const networks = [...new Set(Object.values(hosts).flatMap(({ links }) => links.map((link) => link.network)))]
  const lines = [`${name}: ${description}`]
  for (const network of networks) {
    lines.push('', `── ${network} ${'─'.repeat(Math.max(0, 70 - network.length))}`)
    for (const [host, plan] of Object.entries(hosts)) {
      for (const link of plan.links.filter((each) => each.network === network)) {
        lines.push(
          `   ├─ ${host.padEnd(14)} ${link.name.padEnd(8)} ${link.addresses.join('  ')}${role(plan, link.name)}${state(link)}`
        )
      }
    }
  }
  return lines.join('\n')
}

function role(host: HostPlan, link: string): string {
  const { dns, translator } = host
  const isInner = host.router === undefined || host.router.lan === link
  const servers = [dns !== undefined && 'DNS', translator?.kind.toUpperCase()].filter(
    (each) => each !== undefined && each !== false
  )
  return `${mainRole(host, link)}${isInner && servers.length > 0 ? `  ${servers.join(', ')}` : ''}`
}

function mainRole({ router, routes, stun, firewall }: HostPlan, link: string): string {
  if (stun !== undefined) return stun === 'plain' ? '  STUN' : '  STUN, with behaviour discovery'
  if (router?.lan === link) return `  (${mapping(router.mapping)})`
  if (router?.wan === link) return `  (${nat(router)})`
  const next = routes
    .filter((route) => route.link === link && route.to.startsWith('default'))
    .map(({ via, metric }) => `${via ?? 'the link itself'}${metric === undefined ? '' : `, metric ${metric}`}`)
  const lets = firewall === undefined ? '' : `  firewall: lets in TCP port ${firewall.ports.join(', ') || 'none'}`
  return `${next.length === 0 ? '' : `  default via ${next.join('; ')}`}${lets}`
}

function state({ delayMs = 0, down = false }: LinkPlan): string {
  return `${down ? '  (not plugged in)' : ''}${delayMs > 0 ? `  (${delayMs} ms)` : ''}`
}

function nat(router: RouterPlan): string {
  const {
    nat: natMapping,
    filtering,
    hairpin = false,
    wanInput,
    forwards = 'all',
    mappingLifetimeMs,
    captivePortal
  } = router
  const parts = [
    `NAT: ${natMapping}`,
    filtering !== undefined && `filtering: ${filtering}`,
    mappingLifetimeMs !== undefined && `UDP mappings end after ${mappingLifetimeMs / 1000} s`,
    hairpin && 'hairpin',
    ...forwarded(router),
    `unwanted: ${wanInput}`,
    forwards === 'tcp' && 'TCP only',
    captivePortal !== undefined && 'captive portal'
  ]
  return parts.filter((each) => each !== false).join(', ')
}

function forwarded({ portForwards = [], exposedHost }: RouterPlan): string[] {
  const forwards = portForwards.map(
    ({ externalPort, address, internalPort = externalPort }) => `port ${externalPort} to ${address}:${internalPort}`
  )
  if (exposedHost === undefined) return forwards
  const { address, ports } = exposedHost
  return [...forwards, `${ports === undefined ? 'everything unmapped' : `port ${ports.join(', ')}`} to ${address}`]
}

function mapping(plan: RouterPlan['mapping']): string {
  if (plan === 'refused') return 'no mapping service'
  if (plan === 'silent') return 'mapping requests dropped'
  const names = [
    plan.pcp && 'PCP',
    plan.natPmp && 'NAT-PMP',
    plan.upnp && `UPnP ${plan.upnp.toUpperCase().replace('D', 'D:')}`,
    plan.ipv6 === true && 'IPv6 pinholes',
    plan.mapsBehindNat === true && 'maps behind a NAT'
  ]
  return names.filter((each) => each !== false).join(', ')
}
