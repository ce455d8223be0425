import type { Cable, Delay } from './delays.js'
import { isDelay } from './delays.js'
import type { Facts, Router } from './facts.js'
import { checkDelay } from './facts.js'
import type { Ground } from './faults.js'
import { turnsRound } from './hairpin.js'
import { cable } from './setup-script.js'

// Faults of a cable. A rule in the host would report the drop to the sender (EPERM), which a real network does not do.

export async function loss(
  ground: Ground,
  router: Router,
  percent: number,
  link: string = router.plan.lan
): Promise<void> {
  if (!(percent >= 0 && percent <= 100)) throw new TypeError(`A loss is 0 to 100 percent, not ${percent}`)
  const permille = Math.round(percent * 10)
  const chance = permille === 1000 ? 'drop' : `numgen random mod 1000 < ${permille} drop`
  const spared = ['ether type arp accept', 'meta l4proto ipv6-icmp accept']
  await onCable(ground, 'loss', router.name, link, permille === 0 ? undefined : { spared, fate: chance })
}

export async function outage(ground: Ground, host: string, link: string | undefined, begins: boolean): Promise<void> {
  await onCable(ground, 'outage', host, link, begins ? { spared: [], fate: 'drop' } : undefined)
}

export async function delay(
  { facts, delayed }: Ground,
  host: string,
  link: string | undefined,
  how: Delay
): Promise<void> {
  checkDelay(how)
  await delayed.set([{ cable: findCable(facts, host, link), delay: how }])
}

/** Sets the delays of the topology. */
export async function delayAsPlanned({ facts, delayed }: Ground): Promise<void> {
  const wishes = Object.entries(facts.topology.hosts).flatMap(([host, { links }]) =>
    links.map(({ name, delayMs = 0, jitterMs = 0 }) => ({
      cable: findCable(facts, host, name),
      delay: { delayMs, jitterMs }
    }))
  )
  if (wishes.some((wish) => isDelay(wish.delay))) await delayed.set(wishes)
}

/** Replaces the rules of one kind for both directions of a cable; without `rules`, removes them. */
async function onCable(
  { facts, namespace }: Ground,
  kind: string,
  host: string,
  link: string | undefined,
  rules: { readonly spared: readonly string[]; readonly fate: string } | undefined
): Promise<void> {
  const { port } = findCable(facts, host, link)
  const all = rules && [...rules.spared, `iifname ${port} ${rules.fate}`, `oifname ${port} ${rules.fate}`]
  await namespace.script(
    undefined,
    `nft -f - << 'END'
table bridge ${kind}_${port} {}
delete table bridge ${kind}_${port}
table bridge ${kind}_${port} {
  chain forward {
    type filter hook forward priority 0
    ${all?.join('\n    ') ?? ''}
  }
}
END`
  )
}

/** Returns the cable of a link: the given one, or else the outer link of a router or the uplink of another host. */
function findCable(facts: Facts, host: string, link: string | undefined): Cable {
  const { router } = facts.host(host).plan
  const { name, network } = facts.link(host, link ?? router?.wan)
  const { bridges, ports } = cable(facts.topology)
  const port = ports.get(`${host}/${name}`) ?? ''
  return { port, bridge: bridges.get(network) ?? '', hairpin: turnsRound(router, name) }
}
