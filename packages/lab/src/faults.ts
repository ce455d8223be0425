import { isIPv4 } from 'node:net'
import type { DelayedCables } from './delays.js'
import type { Facts, Router } from './facts.js'
import { forgetNotes } from './filtering.js'
import { mirrorSteps, turnsRound } from './hairpin.js'
import type { Namespace } from './namespace.js'
import { daemonConfig, recountRules, routerFolder, startScript, stopScript } from './router-files.js'
import { linkBatch } from './setup-script.js'
import type { LinkPlan } from './topology.js'

/** The parts of a lab that faults change. */
export interface Ground {
  readonly facts: Facts
  readonly namespace: Namespace
  readonly debug: boolean
  readonly delayed: DelayedCables
}

const flush = `nft 'flush chain inet router miniupnpd
flush chain inet router prerouting_miniupnpd
flush chain inet router postrouting_miniupnpd'`

export async function reboot(ground: Ground, router: Router, controlPort: number = router.controlPort): Promise<void> {
  const { name, plan } = router
  await ground.namespace.script(
    name,
    `${stopScript(name, 'KILL')}\n${flush}\n${forgetNotes(plan)}\nrm -f ${routerFolder(name)}/leases`
  )
  router.controlPort = controlPort
  await startDaemon(ground, router)
}

export async function stopDaemon({ namespace }: Ground, { name }: Router): Promise<void> {
  await namespace.script(name, stopScript(name, 'TERM'))
}

export async function startDaemon({ namespace, debug }: Ground, router: Router): Promise<void> {
  const files = router.files()
  const config = daemonConfig(files)
  if (config === undefined) throw new TypeError(`${router.name} has no daemon in this topology`)
  await namespace.script(
    router.name,
    `cat > ${routerFolder(router.name)}/miniupnpd.conf << 'END'
${config}
END
nft -f - << 'END'
${recountRules(files)}
END
${startScript(files, debug)}`
  )
}

export async function flushRules({ namespace }: Ground, { name }: Router): Promise<void> {
  await namespace.script(name, flush)
}

// Declaring the table first makes the deletion succeed whether or not the table existed.
const unblock = 'table inet block {}\ndelete table inet block'

/** Drops new connections from outside before the router's own rules, which include those of the daemon. */
export async function blockInbound({ namespace }: Ground, { name, plan }: Router): Promise<void> {
  const block = `table inet block {
  chain forward {
    type filter hook forward priority filter - 1
    iifname ${plan.wan} ct state new drop
  }
}`
  await namespace.script(name, `nft -f - << 'END'\n${unblock}\n${block}\nEND`)
}

export async function unblockInbound({ namespace }: Ground, { name }: Router): Promise<void> {
  await namespace.script(name, `nft -f - << 'END'\n${unblock}\nEND`)
}

/**
 * Changes an IPv4 address. Programs that watch the network see the old address go, then the new one, then the routes.
 */
export async function changeAddress(ground: Ground, host: string, link: string, address: string): Promise<void> {
  const { facts, namespace } = ground
  if (!isIPv4(address)) throw new TypeError(`"${address}" is not an IPv4 address without a prefix length`)
  const { addresses, network } = facts.link(host, link)
  const old = addresses.find((each) => !each.includes(':'))
  if (old === undefined) throw new TypeError(`${host} has no IPv4 address on ${link}`)
  const [oldAddress = '', prefixLength = ''] = old.split('/')
  const near = samePrefix(oldAddress, address, Number(prefixLength))
  const changed = [near ? `${address}/${prefixLength}` : `${address}/32`, ...addresses.filter((each) => each !== old)]

  const lines = [`addr del ${old} dev ${link}`, `addr add ${changed[0]} dev ${link}`]
  if (!near) {
    // Outside the prefix of the network, host and neighbours need routes to each other.
    for (const other of facts.on(network)) {
      if (other.host === host) continue
      const theirs = other.link.addresses.find((each) => !each.includes(':'))
      if (theirs !== undefined) lines.push(`route replace ${theirs.split('/')[0]} dev ${link} src ${address}`)
      await namespace.script(other.host, `ip route replace ${address} dev ${other.link.name}`)
    }
  }
  facts.setAddresses(host, link, changed)
  await raise(ground, host, facts.link(host, link), lines)
}

export async function linkDown({ facts, namespace }: Ground, host: string, link: string | undefined): Promise<void> {
  await batch(namespace, host, `link set ${facts.link(host, link).name} down`)
}

/** Moves a host to another link. The old network, with its address and routes, is gone before the new one appears. */
export async function switchUplink(ground: Ground, host: string, to: string | undefined): Promise<void> {
  const { facts } = ground
  const { links } = facts.host(host).plan
  const from = facts.link(host)
  const next = links[(links.findIndex(({ name }) => name === from.name) + 1) % links.length]
  const link = facts.link(host, to ?? next?.name)
  if (link.name === from.name) throw new TypeError(`${host} is on ${from.name} and has no other link to switch to`)
  await raise(ground, host, link, [`addr flush dev ${from.name}`, `link set ${from.name} down`])
  facts.setUplink(host, link.name)
}

export async function linkUp(ground: Ground, host: string, link: string | undefined): Promise<void> {
  await raise(ground, host, ground.facts.link(host, link), [])
}

/** Runs the given lines and brings the link up. Adds again the addresses and routes that were lost with its state. */
async function raise(
  { facts, namespace }: Ground,
  host: string,
  link: LinkPlan,
  lines: readonly string[]
): Promise<void> {
  const { routes, router } = facts.host(host).plan
  await batch(namespace, host, [...lines, linkBatch(link, routes)].join('\n'))
  if (turnsRound(router, link.name)) await namespace.script(host, mirrorSteps(link.name))
}

async function batch(namespace: Namespace, host: string, lines: string): Promise<void> {
  await namespace.script(host, `ip -batch - << 'END'\n${lines}\nEND`)
}

function samePrefix(one: string, other: string, length: number): boolean {
  const bits = (address: string): string =>
    address
      .split('.')
      .map((byte) => Number(byte).toString(2).padStart(8, '0'))
      .join('')
  return bits(one).slice(0, length) === bits(other).slice(0, length)
}
