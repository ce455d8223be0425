// Measures what an idle node costs, side by side: node bench/idle.mjs [minutes]. Without an argument it takes 22 minutes
// and writes docs/benchmarks/idle.md.
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { canRunLab } from '@postern/lab'
import { machineFacts } from './machine.mjs'
import { formatNumber, formatSpread, ratiosOf, spreadOf } from './stats.mjs'
import { aimsTable, formatMarkdown, formatText } from './tables.mjs'
import { stacks, World } from './world.mjs'

const minutes = Number(process.argv[2] ?? 20)
/** Until then the node is still starting, or releasing its relays. */
const settleMs = 120_000
const file = new URL('../docs/benchmarks/idle.md', import.meta.url)

const support = await canRunLab()
if (!support.ok || !(Number.isInteger(minutes) && minutes > 0)) {
  console.error(support.ok ? 'node bench/idle.mjs [minutes]' : support.reason)
  process.exit(support.ok ? 2 : 1)
}
const machine = machineFacts()
const contenders = stacks.slice(0, 2)
const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())
const { signal } = interrupted
const homes = []
try {
  for (const contender of contenders) {
    const world = await World.open('home', signal)
    homes.push({ world, node: world.startHome(contender) })
  }
  await measure()
} catch (error) {
  if (!signal.aborted) throw error
  process.exitCode = 130
} finally {
  await Promise.all(homes.map(({ world }) => world.close()))
}
process.exit()

async function measure() {
  await sleep(settleMs, undefined, { signal })
  for (const { node } of homes) await costOf(node, 'quiet')
  const packetsBefore = await Promise.all(homes.map(({ world }) => countPackets(world)))
  /** The CPU time of each node so far, in ms, minute by minute. Both are asked at the same moment. */
  const cpu = homes.map(() => [])
  let told = []
  for (let minute = 0; minute <= minutes; minute++) {
    if (minute > 0) await sleep(60_000, undefined, { signal })
    told = await Promise.all(homes.map(({ node }) => costOf(node, 'cost')))
    for (const [index, { cpuMs }] of told.entries()) cpu[index].push(cpuMs)
  }
  const packetsAfter = await Promise.all(homes.map(({ world }) => countPackets(world)))
  for (const { node } of homes) await costOf(node, 'addresses')
  const perMinute = cpu.map((all) => all.slice(1).map((each, index) => each - all[index]))
  const result = {
    sums: cpu.map((all) => all.at(-1) - all[0]),
    perMinute,
    ratios: spreadOf(ratiosOf(perMinute[0], perMinute[1])),
    told,
    packets: packetsAfter.map((after, index) => difference(after, packetsBefore[index])),
    verified: homes.map(({ node }) => isVerified(node))
  }
  const tables = [tableOf(result), aimsTable([{ aims: [aimOf(result)] }])]
  for (const table of tables) console.log(`${formatText(table)}\n`)
  if (process.argv[2] === undefined) await write(tables)
}

/** Resolves to what a node has used so far. */
async function costOf(node, line) {
  const from = node.heard
  node.say(line)
  const told = await node.hear(({ cpu }) => cpu !== undefined, 10_000, from)
  if (told === undefined) throw new Error('the node does not answer')
  return {
    cpuMs: (told.cpu.user + told.cpu.system) / 1000,
    rssMb: told.memory.rss / 1e6,
    heapMb: told.memory.heapUsed / 1e6
  }
}

async function countPackets({ lab }) {
  const { stdout } = await lab.run('home', ['ip', '-s', '-j', 'link', 'show', 'eth0'])
  const [{ stats64 }] = JSON.parse(stdout)
  const gateway = Object.values(await lab.packets()).reduce((sum, each) => sum + each, 0)
  return { gateway, sent: stats64.tx.packets, received: stats64.rx.packets }
}

function difference(after, before) {
  return Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - before[name]]))
}

function isVerified(node) {
  const last = node.last(({ addresses }) => addresses !== undefined)
  return last?.addresses.some((each) => each.startsWith('/ip4/11.0.0.2/tcp/')) === true
}

function tableOf({ sums, perMinute, ratios, told, packets, verified }) {
  const row = (text, each) => [text, ...contenders.map((_, index) => each(index))]
  return {
    caption: `Idle for ${minutes} min`,
    columns: ['', ...contenders.map(({ name }) => name)],
    rows: [
      row('packets sent to the gateway', (index) => String(packets[index].gateway)),
      row('packets sent in all', (index) => String(packets[index].sent)),
      row('packets received', (index) => String(packets[index].received)),
      row('CPU time in all, ms', (index) => formatNumber(sums[index])),
      row('CPU time a minute, ms', (index) => formatSpread(spreadOf(perMinute[index]))),
      ['… in the same minute, × js-libp2p', formatSpread(ratios), '1'],
      row('memory at the end (RSS), MB', (index) => formatNumber(told[index].rssMb)),
      row('JavaScript heap at the end, MB', (index) => formatNumber(told[index].heapMb)),
      row('verified address at the end', (index) => (verified[index] ? 'yes' : 'no'))
    ]
  }
}

function aimOf({ sums: [ours, stock] }) {
  const ratio = ours / stock
  return { text: 'CPU time in all at most that of js-libp2p', measured: `${ratio.toFixed(2)}×`, met: ratio <= 1 }
}

async function write(tables) {
  const { system, processor, cores, memoryGib, node, loadAtStart } = machine
  const parts = [
    '# What an idle node costs',
    `Written by this command, which takes ${minutes + settleMs / 60_000} minutes; nothing here is edited by hand:`,
    '```sh\nnode_modules/.bin/node bench/idle.mjs\n```',
    `${new Date().toISOString().slice(0, 10)}, Node ${node.slice(1)} on ${system}: ${processor}, ${cores} cores, ${memoryGib} GiB; load ${loadAtStart} at the start.`,
    'Both ran at the same time, each in its own lab: a home behind a router with UPnP (IGD:2), NAT-PMP and PCP, connected to three public peers, two of them named as relays. Counted from two minutes after the start. A node is asked for its CPU time once a minute, both at the same moment, and does nothing else for this measurement. The CPU time of a minute is the median of all minutes, with the minimum and the maximum in parentheses. Packets include everything that libp2p itself sends: pings of connected peers, identify, and TCP acknowledgements.',
    ...tables.map(formatMarkdown)
  ]
  await writeFile(file, `${parts.join('\n\n')}\n`)
  console.error('docs/benchmarks/idle.md is written.')
}
