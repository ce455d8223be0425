// Counts the exchanges that a mapping takes at the testkit's gateway. The number is the same every time.
import { systemHost } from '@postern/core'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { createGateway, memoryNetwork, systemClock } from '@postern/testkit'
import { upnp } from '@postern/upnp'

const strategies = { pcp, 'nat-pmp': natPmp, upnp }
const router = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.10' }
const key = new Uint8Array(16).fill(7)
const steps = ['discover', 'map', 'renew', 'release']

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function exchanges({ progress }) {
  const rows = []
  for (const name of Object.keys(strategies)) {
    progress(name)
    rows.push({ name, ...(await count(name)) })
  }
  return {
    name: 'exchanges',
    title: 'Exchanges with the router',
    notes: ['For UPnP: searches that were answered + HTTP requests.'],
    tables: [
      {
        caption: 'Requests to the router, by what they are for',
        columns: ['strategy', ...steps],
        rows: rows.map((row) => [row.name, ...steps.map((step) => row[step])])
      }
    ],
    aims: [],
    data: rows
  }
}

async function count(name) {
  const gateway = createGateway({ protocols: [name] })
  const network = memoryNetwork({ clock: systemClock })
  network.attach(gateway, router.address)
  const over = new AbortController()
  const found = Promise.withResolvers()
  const take = (finding) => {
    if (finding.kind === 'mapper') found.resolve(finding)
  }
  const where = { gateways: [router], addresses: [router.localAddress] }
  const discovery = strategies[name](network.host(router.localAddress))(systemHost).discover(where, take, over)
  discovery.catch(found.reject)

  const made = []
  let before = [0, 0]
  const note = () => {
    const now = requestsOf(gateway.counters)
    made.push(
      now
        .map((each, index) => each - before[index])
        .join(' + ')
        .replace(/^0 \+ /, '')
    )
    before = now
  }
  const mapper = await found.promise
  note()
  const endpoint = { protocol: 'tcp', family: 4, address: router.localAddress, port: 8080 }
  const lease = await mapper.map({ endpoint, suggestedExternalPort: 8080, lifetimeMs: 7_200_000, key }, over)
  note()
  const renewed = await lease.renew(over)
  note()
  await renewed.release(over)
  note()
  over.abort()
  await discovery.catch(() => {})
  return Object.fromEntries(steps.map((step, index) => [step, made[index]]))
}

/** Searches, and everything else. */
const requestsOf = (counters) => [
  counters.ssdp.requests,
  counters.pcp.requests + counters['nat-pmp'].requests + counters.description.requests + counters.control.requests
]
