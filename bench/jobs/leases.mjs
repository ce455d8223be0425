// Many leases in one process: node --expose-gc leases.mjs <how many> <instant|pcp> <virtual|idle>
// virtual: what granting and renewing cost, on a clock that does not wait. idle: what holding them costs.
import { setTimeout as sleep } from 'node:timers/promises'
import { createTraversal, systemClock } from '@postern/core'
import { pcp } from '@postern/pcp'
import { createGateway, memoryNetwork, virtualClock } from '@postern/testkit'
import { instantMapper } from './instant-mapper.mjs'

const [, , countText, strategy, mode] = process.argv
const count = Number(countText)
/** How many renewals to measure: enough for a mean, and no more than some seconds of them if they are slow. */
const enough = { most: 2000, least: 10, cpuMs: 2000 }
const idleMs = 20_000

const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.10' }
const clock = mode === 'virtual' ? virtualClock() : systemClock
const network = memoryNetwork({ clock })
if (strategy === 'pcp') network.attach(createGateway({ clock, protocols: ['pcp'] }), gateway.address)
const { openUdp } = network.host(gateway.localAddress)
const traversal = createTraversal({
  strategies: [strategy === 'pcp' ? pcp({ openUdp }) : instantMapper(gateway)],
  host: { clock, random: Math.random, log: { debug: () => {}, info: () => {} } },
  // Renewals follow the lifetime only, and the start is short.
  policy: { recheckIntervalMs: Number.POSITIVE_INFINITY, unverifiedAfterMs: 1000, staleCleanupDelayMs: 1000 }
})
let mapped = 0
let renewed = 0
traversal.addEventListener('mapped', () => (mapped += 1))
traversal.addEventListener('renewed', () => (renewed += 1))
traversal.addEventListener('lost', ({ detail }) => {
  throw new Error(`lost: ${detail.reasons[0].message}`)
})

const cpuMs = async (work) => {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
const heapBytes = () => {
  global.gc()
  return process.memoryUsage().heapUsed
}

const heapBefore = heapBytes()
const grantMs = await cpuMs(async () => {
  for (let index = 0; index < count; index++) {
    const protocol = index % 2 === 0 ? 'tcp' : 'udp'
    traversal.addEndpoint({ protocol, family: 4, address: gateway.localAddress, port: 2000 + (index >> 1) })
  }
  traversal.setNetwork({ gateways: [gateway], addresses: [gateway.localAddress] })
  await traversal.start()
  while (mapped < count) await (mode === 'virtual' ? clock.advance(1) : sleep(1))
})
if (mode === 'virtual') await clock.advance(60_000)
else await sleep(3000)
const bytes = heapBytes() - heapBefore

const result = { count, grantUs: (grantMs * 1000) / count, bytes: bytes / count }
if (mode === 'virtual') {
  const reportMs = await cpuMs(async () => traversal.report())
  const firstRenewal = renewed
  let ms = 0
  const isEnough = (made) => made >= enough.most || (made >= enough.least && ms >= enough.cpuMs)
  while (!isEnough(renewed - firstRenewal)) ms += await cpuMs(() => clock.advance(1000))
  console.log(JSON.stringify({ ...result, reportMs, renewUs: (ms * 1000) / (renewed - firstRenewal) }))
} else {
  const ms = await cpuMs(() => sleep(idleMs))
  console.log(JSON.stringify({ ...result, idlePercent: (ms / idleMs) * 100 }))
}
process.exit()
