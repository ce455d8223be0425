import type { Delay } from './delays.js'
import type { RouterFacts } from './router-files.js'
import { routerFacts } from './router-files.js'
import type { HostPlan, LinkPlan, RouterPlan, Topology } from './topology.js'
import { defaultControlPort } from './topology.js'

/** What is true of a lab now: the plan, and what faults have changed since. */
export interface Facts {
  readonly topology: Topology
  readonly routers: ReadonlyMap<string, Router>
  /** Throws a TypeError for a name that the topology does not have; so do the next two. */
  host(name: string): { readonly name: string; readonly plan: HostPlan }
  router(name: string): Router
  /** Without a name, the link that the host has gone over to, else its first. */
  link(host: string, link?: string): LinkPlan
  /** Hosts with a link on the network. */
  on(network: string): { readonly host: string; readonly link: LinkPlan }[]
  setUplink(host: string, link: string): void
  setAddresses(host: string, link: string, addresses: readonly string[]): void
}

export interface Router {
  readonly name: string
  readonly plan: RouterPlan
  controlPort: number
  files(): RouterFacts
}

/** Checks a topology and prepares the facts of a lab on it. Throws a TypeError where it cannot be built. */
export function makeFacts(topology: Topology): Facts {
  const addresses = new Map<string, readonly string[]>()
  const uplinks = new Map<string, string>()
  const routers = new Map<string, Router>()

  const host = (name: string): { name: string; plan: HostPlan } => {
    const plan = topology.hosts[name]
    if (plan !== undefined) return { name, plan }
    const names = Object.keys(topology.hosts).join(', ')
    throw new TypeError(`The topology ${topology.name} has no host ${name}: take one of ${names}`)
  }
  const now = (name: string, link: LinkPlan): LinkPlan => ({
    ...link,
    addresses: addresses.get(`${name}/${link.name}`) ?? link.addresses
  })

  for (const [name, plan] of Object.entries(topology.hosts)) {
    checkNames(name, plan)
    if (plan.router === undefined) continue
    const router: Router = {
      name,
      plan: plan.router,
      controlPort: defaultControlPort,
      files: () => {
        const facts = routerFacts(name, plan, router.controlPort)
        if (facts === undefined) throw new TypeError(`${name} is no router`)
        return facts
      }
    }
    routers.set(name, router)
  }

  return {
    topology,
    routers,
    host,
    router(name) {
      const router = routers.get(host(name).name)
      if (router === undefined)
        throw new TypeError(`${name} is no router: take one of ${[...routers.keys()].join(', ')}`)
      return router
    },
    link(name, link = uplinks.get(name)) {
      const { links } = host(name).plan
      const found = link === undefined ? links[0] : links.find((each) => each.name === link)
      if (found !== undefined) return now(name, found)
      throw new TypeError(`${name} has no link ${link ?? ''}: take one of ${links.map((each) => each.name).join(', ')}`)
    },
    on: (network) =>
      Object.entries(topology.hosts).flatMap(([name, { links }]) =>
        links.filter((link) => link.network === network).map((link) => ({ host: name, link: now(name, link) }))
      ),
    setUplink: (name, link) => void uplinks.set(name, link),
    setAddresses: (name, link, list) => void addresses.set(`${name}/${link}`, list)
  }
}

/** Names become part of commands and of interface names, which the kernel keeps short. */
function checkNames(name: string, { links }: HostPlan): void {
  if (!/^[a-z][a-z\d-]*$/.test(name)) throw new TypeError(`A host cannot be named "${name}": take a-z, 0-9 and hyphens`)
  for (const link of links) {
    if (!/^[a-z][a-z\d-]{0,14}$/.test(link.name))
      throw new TypeError(`A link of ${name} cannot be named "${link.name}"`)
    checkDelay({ delayMs: link.delayMs ?? 0, jitterMs: link.jitterMs ?? 0 })
    for (const address of link.addresses) {
      if (!/^[\da-f.:]+\/\d+$/.test(address))
        throw new TypeError(`"${address}" of ${name} needs the form 192.168.1.2/24`)
    }
  }
}

/** Throws a TypeError where a delay is none. */
export function checkDelay({ delayMs, jitterMs }: Delay): void {
  for (const ms of [delayMs, jitterMs]) {
    if (!(ms >= 0 && ms <= 60_000)) throw new TypeError(`A delay is 0 to 60000 milliseconds, not ${ms}`)
  }
}

/** The first address of a family on a link, without prefix length. Throws a TypeError where there is none. */
export function plainAddress(facts: Facts, host: string, link: string | undefined, family: 4 | 6): string {
  const { addresses, name } = facts.link(host, link)
  const found = addresses.find((address) => address.includes(':') === (family === 6))
  if (found === undefined)
    throw new TypeError(`${host} has no IPv${family} address on ${name} in ${facts.topology.name}`)
  return found.slice(0, found.indexOf('/'))
}
