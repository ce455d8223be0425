// Measures the time from expose() to a verified address, and how many verifications one witness server makes.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { openLab, withPeers } from '@postern/lab'
import { aim, resultOf, tableOf } from '../rounds.mjs'
import { formatNumber, formatSpread, spreadOf, spreadOfKnown } from '../stats.mjs'
import { further, Talker } from '../world.mjs'

const jobs = fileURLToPath(new URL('../jobs/', import.meta.url))
const rounds = 5
const capMs = 20_000
/** The round trip to the witnesses, in ms. */
const roundTripMs = 50
const ladder = 'pcp,witness:21.0.0.1:4003,witness:31.0.0.1:4003'
const contenders = [
  { name: 'the mapping alone', args: ['pcp', 'mapped'] },
  { name: 'verified by two witnesses', args: [ladder, 'verified'] }
]
const seconds = 10
const clients = 64
const idle = 10_000

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function witness({ signal, progress }) {
  const near = await timesIn({}, signal, (text) => progress(`no delay: ${text}`))
  const far = await timesIn({ alpha: roundTripMs / 2, bravo: roundTripMs / 2 }, signal, (text) =>
    progress(`delay: ${text}`)
  )
  progress('one server')
  const rates = []
  for (let round = 0; round < 3; round++) rates.push(await loadServer(signal))
  const column = (name) => spreadOf(rates.map((each) => each[name]))
  const [base] = contenders
  const alone = spreadOfKnown(resultOf(far, base.name).first)?.median ?? Number.NaN
  const allowed = 2 * alone + 2 * roundTripMs
  return {
    name: 'witness',
    title: 'From expose() to verified, without libp2p',
    notes: [
      `A home behind a router with PCP, and two \`postern witness\` servers on distinct networks, to which nothing was connected before. Time runs from expose() of an HTTP server, in a fresh process for each round, to the event. With a delay, the round trip to each witness is ${roundTripMs} ms.`,
      `One server process on loopback, on the same two cores as its clients: ${clients} clients, each in a network of its own, ask for ${seconds} s, one request after the other. Then ${idle.toLocaleString('en')} connections are opened and send nothing: the server keeps at most 1,024.`
    ],
    tables: [
      tableOf('No delay', near, base.name),
      tableOf(`${roundTripMs} ms round trip to the witnesses`, far, base.name),
      {
        caption: 'One server process',
        columns: [
          'verifications a second',
          'median, ms',
          '99 %, ms',
          'CPU for one, ms',
          'memory then, MB',
          `memory at ${idle.toLocaleString('en')} idle connections, MB`,
          'of them kept'
        ],
        rows: [
          ['perSecond', 'medianMs', 'p99Ms', 'cpuMs', 'rssMb', 'idleRssMb', 'kept'].map((name) =>
            formatSpread(column(name))
          )
        ]
      }
    ],
    aims: [
      aim(
        `expose() to verified by two witnesses ≤ 2 × the mapping alone + 2 round trips (${formatNumber(allowed, ' ms')})`,
        spreadOfKnown(resultOf(far, contenders[1].name).first),
        ' ms',
        (ms) => ms <= allowed
      ),
      aim('verifications a second on one witness server ≥ 1,000', column('perSecond'), '', (count) => count >= 1000)
    ],
    data: { near, far, rates }
  }
}

async function timesIn(delaysMs, signal, progress) {
  const results = contenders.map(({ name }) => ({ name, first: [], again: [], failures: [] }))
  const lab = await openLab(further(withPeers('home-pcp'), delaysMs), { signal })
  try {
    const servers = ['alpha', 'bravo'].map(
      (host) => new Talker(lab, host, [process.execPath, `${jobs}witness-server.mjs`])
    )
    await Promise.all(servers.map((server) => server.hear((line) => line.port, 10_000)))
    for (let round = 0; round < rounds; round++) {
      for (const [index, { name, args }] of contenders.entries()) {
        progress(`round ${round + 1} of ${rounds}: ${name}`)
        note(results[index], await timeOf(lab, args))
      }
    }
  } finally {
    await lab.close()
  }
  return results
}

/** Resolves with the time that one home took, in a process of its own; with undefined if it took too long. */
async function timeOf(lab, args) {
  const home = new Talker(lab, 'home', [process.execPath, `${jobs}witness-home.mjs`, ...args])
  const line = await home.hear((each) => each.ms, capMs)
  await home.end()
  return line?.ms
}

function note(result, ms) {
  result.first.push(ms)
  result.again.push(undefined)
  if (ms === undefined) result.failures.push(`> ${capMs / 1000} s`)
}

async function loadServer(signal) {
  const server = start(signal, ['--expose-gc', `${jobs}witness-server.mjs`, 'loopback'])
  try {
    const { port } = await server.line()
    const before = await server.ask()
    const load = start(signal, [`${jobs}witness-load.mjs`, String(port), String(seconds), String(clients)])
    const { perSecond, medianMs, p99Ms } = await load.line()
    const after = await server.ask()
    const holder = start(signal, [`${jobs}witness-load.mjs`, String(port), 'idle', String(idle)])
    await holder.line()
    const held = await server.ask()
    holder.child.kill()
    const cpuMs = (after.cpuMs - before.cpuMs) / (after.counters.dials - before.counters.dials)
    return { perSecond, medianMs, p99Ms, cpuMs, rssMb: after.rssMb, idleRssMb: held.rssMb, kept: held.connections }
  } finally {
    server.child.kill()
  }
}

function start(signal, args) {
  const child = spawn(process.execPath, args, { signal, stdio: ['pipe', 'pipe', 'inherit'] })
  child.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async () => JSON.parse((await lines.next()).value)
  return {
    child,
    line,
    ask() {
      child.stdin.write('\n')
      return line()
    }
  }
}
