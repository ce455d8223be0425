// Measures what an idle node costs, side by side: node bench/idle.mjs [minutes]. Without an argument it takes an hour
// and writes docs/benchmarks/idle.md.
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { canRunLab } from '@postern/lab'
import { machineFacts } from './machine.mjs'
import { formatNumber } from './stats.mjs'
import { formatMarkdown, formatText } from './tables.mjs'
import { stacks, World } from './world.mjs'

const minutes = Number(process.argv[2] ?? 60)
/** Until then the node is still starting, or releasing its relays. */
const settleMs = 120_000
const file = new URL('../docs/benchmarks/idle.md', import.meta.url)

const support = await canRunLab()
if (!support.ok || !(minutes > 0)) {
  console.error(support.ok ? 'node bench/idle.mjs [minutes]' : support.reason)
  process.exit(support.ok ? 2 : 1)
}
const machine = machineFacts()
const contenders = stacks.slice(0, 2)
const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())
const measured = await Promise.all(contenders.map((each) => measure(each)))

const row = (text, value) => [text, ...measured.map((each) => value(each))]
const table = {
  caption: `Idle for ${minutes} min`,
  columns: ['', ...contenders.map(({ name }) => name)],
  rows: [
    row('packets sent to the gateway', ({ gateway }) => String(gateway)),
    row('packets sent in all', ({ sent }) => String(sent)),
    row('packets received', ({ received }) => String(received)),
    row('CPU time, ms', ({ cpuMs }) => formatNumber(cpuMs)),
    row('memory at the end (RSS), MB', ({ rssMb }) => formatNumber(rssMb)),
    row('JavaScript heap at the end, MB', ({ heapMb }) => formatNumber(heapMb)),
    row('verified address at the end', ({ isVerified }) => (isVerified ? 'yes' : 'no'))
  ]
}
console.log(formatText(table))
if (minutes >= 60) await write()
process.exit()

async function measure(contender) {
  const world = await World.open('home', interrupted.signal)
  try {
    const node = world.startHome(contender)
    await sleep(settleMs, undefined, { signal: interrupted.signal })
    const before = await counts(world, node)
    await sleep(minutes * 60_000, undefined, { signal: interrupted.signal })
    const after = await counts(world, node)
    const last = node.last(({ addresses }) => addresses !== undefined)
    await node.end()
    return {
      gateway: after.gateway - before.gateway,
      sent: after.sent - before.sent,
      received: after.received - before.received,
      cpuMs: after.cpuMs - before.cpuMs,
      rssMb: after.rssMb,
      heapMb: after.heapMb,
      isVerified: last?.addresses.some((each) => each.startsWith('/ip4/11.0.0.2/')) === true
    }
  } finally {
    await world.close()
  }
}

async function counts({ lab }, node) {
  const from = node.heard
  node.say('')
  const told = await node.hear(({ cpu }) => cpu !== undefined, 10_000, from)
  const { stdout } = await lab.run('home', ['ip', '-s', '-j', 'link', 'show', 'eth0'])
  const [{ stats64 }] = JSON.parse(stdout)
  const packets = await lab.packets()
  return {
    gateway: Object.values(packets).reduce((sum, each) => sum + each, 0),
    sent: stats64.tx.packets,
    received: stats64.rx.packets,
    cpuMs: (told.cpu.user + told.cpu.system) / 1000,
    rssMb: told.memory.rss / 1e6,
    heapMb: told.memory.heapUsed / 1e6
  }
}

async function write() {
  const { system, processor, cores, memoryGib, node } = machine
  const parts = [
    '# What an idle node costs',
    'Written by this command, which takes an hour; nothing here is edited by hand:',
    '```sh\nnode_modules/.bin/node bench/idle.mjs\n```',
    `${new Date().toISOString().slice(0, 10)}, Node ${node.slice(1)} on ${system}: ${processor}, ${cores} cores, ${memoryGib} GiB. Both ran at the same time, each in its own lab: a home behind a router with UPnP (IGD:2), NAT-PMP and PCP, connected to three public peers, two of them named as relays. Counted from two minutes after the start. Packets include everything that libp2p itself sends: pings of connected peers, identify, and TCP acknowledgements.`,
    formatMarkdown(table)
  ]
  await writeFile(file, `${parts.join('\n\n')}\n`)
  console.error('docs/benchmarks/idle.md is written.')
}
