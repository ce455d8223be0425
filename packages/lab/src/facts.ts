import { checkHost } from './check-host.js'
import { checkRouter } from './check-router.js'
import type { Delay } from './delays.js'
import type { RouterFacts } from './router-files.js'
import { routerFacts } from './router-files.js'
import type { HostPlan, LinkPlan, RouterPlan, Topology } from './topology.js'
import { defaultControlPort } from './topology.js'

/** The current state of a lab: the plan, and the changes by faults. */
export interface Facts {
  readonly topology: Topology
  readonly routers: ReadonlyMap<string, Router>
  /** Returns a host. Throws a TypeError for an unknown name, as `router` and `link` do. */
  host(name: string): { readonly name: string; readonly plan: HostPlan }
  router(name: string): Router
  /**
   * Returns a link of a host. Without a name, returns the uplink that the host has switched to, or else its first link.
   */
  link(host: string, link?: string): LinkPlan
  /** Returns the hosts with a link to the network. */
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

/** Checks a topology and creates the facts of its lab. Throws a TypeError for a topology that cannot be built. */
export function makeFacts(topology: Topology): Facts {
  const addresses = new Map<string, readonly string[]>()
  const uplinks = new Map<string, string>()
  const routers = new Map<string, Router>()

  const host = (name: string): { name: string; plan: HostPlan } => {
    const plan = topology.hosts[name]
    if (plan !== undefined) return { name, plan }
    const names = Object.keys(topology.hosts).join(', ')
    throw new TypeError(`The topology ${topology.name} has no host ${name}: the hosts are ${names}`)
  }
  const now = (name: string, link: LinkPlan): LinkPlan => ({
    ...link,
    addresses: addresses.get(`${name}/${link.name}`) ?? link.addresses
  })

  for (const [name, plan] of Object.entries(topology.hosts)) {
    checkNames(name, plan)
    checkHost(name, plan)
    if (plan.router === undefined) continue
    checkRouter(name, plan.router)
    const router: Router = {
      name,
      plan: plan.router,
      controlPort: defaultControlPort,
      files: () => {
        const facts = routerFacts(name, plan, router.controlPort)
        if (facts === undefined) throw new TypeError(`${name} is not a router`)
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
        throw new TypeError(`${name} is not a router: the routers are ${[...routers.keys()].join(', ')}`)
      return router
    },
    link(name, link = uplinks.get(name)) {
      const { links } = host(name).plan
      const found = link === undefined ? links[0] : links.find((each) => each.name === link)
      if (found !== undefined) return now(name, found)
      throw new TypeError(
        `${name} has no link ${link ?? ''}: the links are ${links.map((each) => each.name).join(', ')}`
      )
    },
    on: (network) =>
      Object.entries(topology.hosts).flatMap(([name, { links }]) =>
        links.filter((link) => link.network === network).map((link) => ({ host: name, link: now(name, link) }))
      ),
    setUplink: (name, link) => void uplinks.set(name, link),
    setAddresses: (name, link, list) => void addresses.set(`${name}/${link}`, list)
  }
}

/**
 * Checks the names of a host and its links, since they become part of commands and of interface names (15 characters).
 */
function checkNames(name: string, { links }: HostPlan): void {
  if (!/^[a-z][a-z\d-]*$/.test(name)) throw new TypeError(`A host cannot be named "${name}": use a-z, 0-9 and hyphens`)
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

/** Throws a TypeError for an invalid delay. */
export function checkDelay({ delayMs, jitterMs }: Delay): void {
  for (const ms of [delayMs, jitterMs]) {
    if (!(ms >= 0 && ms <= 60_000)) throw new TypeError(`A delay is 0 to 60000 milliseconds, not ${ms}`)
  }
}

/** Returns the first address of a family on a link, without the prefix length. Throws a TypeError if there is none. */
export function plainAddress(facts: Facts, host: string, link: string | undefined, family: 4 | 6): string {
  const { addresses, name } = facts.link(host, link)
  const found = addresses.find((address) => address.includes(':') === (family === 6))
  if (found === undefined)
    throw new TypeError(`${host} has no IPv${family} address on ${name} in ${facts.topology.name}`)
  return found.slice(0, found.indexOf('/'))
}
