import { isIPv4 } from 'node:net'
import type { Facts, Router } from './facts.js'
import { forgetNotes } from './filtering.js'
import { mirrorSteps } from './hairpin.js'
import type { Namespace } from './namespace.js'
import { daemonConfig, recountRules, routerFolder, startScript, stopScript } from './router-files.js'
import { cable, linkBatch } from './setup-script.js'

/** What faults work on. */
export interface Ground {
  readonly facts: Facts
  readonly namespace: Namespace
  readonly debug: boolean
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

// A table that is declared exists, so that it can be deleted whether it was there or not.
const unblock = 'table inet block {}\ndelete table inet block'

/** Before the router's own rules, of which the daemon's are some. */
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

/** The order matters to whoever watches: the old address goes, the new one comes, then the routes. */
export async function changeAddress(
  { facts, namespace }: Ground,
  host: string,
  link: string,
  address: string
): Promise<void> {
  if (!isIPv4(address)) throw new TypeError(`"${address}" is no IPv4 address; give one without prefix length`)
  const { addresses, network } = facts.link(host, link)
  const old = addresses.find((each) => !each.includes(':'))
  if (old === undefined) throw new TypeError(`${host} has no IPv4 address on ${link}`)
  const [oldAddress = '', prefixLength = ''] = old.split('/')
  const near = samePrefix(oldAddress, address, Number(prefixLength))
  const changed = [near ? `${address}/${prefixLength}` : `${address}/32`, ...addresses.filter((each) => each !== old)]
  const routes = facts.host(host).plan.routes

  const lines = [`addr del ${old} dev ${link}`, `addr add ${changed[0]} dev ${link}`]
  if (!near) {
    // Outside the network's prefix its neighbours must be told one by one where it is, and it where they are.
    for (const other of facts.on(network)) {
      if (other.host === host) continue
      const theirs = other.link.addresses.find((each) => !each.includes(':'))
      if (theirs !== undefined) lines.push(`route replace ${theirs.split('/')[0]} dev ${link} src ${address}`)
      await namespace.script(other.host, `ip route replace ${address} dev ${other.link.name}`)
    }
  }
  lines.push(linkBatch({ name: link, network, addresses: changed }, routes))
  facts.setAddresses(host, link, changed)
  await batch(namespace, host, lines.join('\n'))
}

export async function linkDown({ facts, namespace }: Ground, host: string, link: string | undefined): Promise<void> {
  await batch(namespace, host, `link set ${facts.link(host, link).name} down`)
}

export async function linkUp({ facts, namespace }: Ground, host: string, link: string | undefined): Promise<void> {
  const { routes, router } = facts.host(host).plan
  const plan = facts.link(host, link)
  await batch(namespace, host, linkBatch(plan, routes))
  if (router?.hairpin && router.wan === plan.name) await namespace.script(host, mirrorSteps(router.wan))
}

/** On the cable, not in the router: dropping there would tell the sender (EPERM), which a real network does not. */
export async function loss({ facts, namespace }: Ground, router: Router, percent: number): Promise<void> {
  if (!(percent >= 0 && percent <= 100)) throw new TypeError(`A loss is 0 to 100 percent, not ${percent}`)
  const port = cable(facts.topology).ports.get(`${router.name}/${router.plan.lan}`)
  const permille = Math.round(percent * 10)
  const chance = permille === 1000 ? 'drop' : `numgen random mod 1000 < ${permille} drop`
  const rules = permille === 0 ? '' : `iifname ${port} ${chance}\n    oifname ${port} ${chance}`
  await namespace.script(
    undefined,
    `nft -f - << 'END'
table bridge loss_${port} {}
delete table bridge loss_${port}
table bridge loss_${port} {
  chain forward {
    type filter hook forward priority 0
    ether type arp accept
    meta l4proto ipv6-icmp accept
    ${rules}
  }
}
END`
  )
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
