import type { HostPlan, Topology } from './topology.js'

/** A picture of a topology in text: networks from the inside out, below each who is on it, with addresses. */
export function draw({ name, description, hosts }: Topology): string {
  const networks = [...new Set(Object.values(hosts).flatMap(({ links }) => links.map((link) => link.network)))]
  const lines = [`${name}: ${description}`]
  for (const network of networks) {
    lines.push('', `── ${network} ${'─'.repeat(Math.max(0, 70 - network.length))}`)
    for (const [host, plan] of Object.entries(hosts)) {
      for (const link of plan.links.filter((each) => each.network === network)) {
        lines.push(
          `   ├─ ${host.padEnd(14)} ${link.name.padEnd(8)} ${link.addresses.join('  ')}${role(plan, link.name)}`
        )
      }
    }
  }
  return lines.join('\n')
}

function role({ router, routes }: HostPlan, link: string): string {
  if (router?.lan === link) return `  (${mapping(router.mapping)})`
  if (router?.wan === link) return `  (NAT: ${router.nat}, unwanted: ${router.wanInput})`
  const next = routes
    .filter((route) => route.link === link && route.to.startsWith('default'))
    .map(({ via, metric }) => `${via ?? 'the link itself'}${metric === undefined ? '' : `, metric ${metric}`}`)
  return next.length === 0 ? '' : `  default via ${next.join('; ')}`
}

function mapping(plan: NonNullable<HostPlan['router']>['mapping']): string {
  if (plan === 'refused') return 'no mapping service'
  if (plan === 'silent') return 'mapping requests dropped'
  const names = [
    plan.pcp && 'PCP',
    plan.natPmp && 'NAT-PMP',
    plan.upnp && `UPnP ${plan.upnp.toUpperCase().replace('D', 'D:')}`,
    plan.ipv6 === true && 'IPv6 pinholes'
  ]
  return names.filter((each) => each !== false).join(', ')
}
