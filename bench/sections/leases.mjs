// Thousands of leases in one process.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { formatNumber, formatSpread, spreadOf } from '../stats.mjs'

const program = fileURLToPath(new URL('../jobs/leases.mjs', import.meta.url))
const counts = [1000, 2000, 5000, 10_000]
const rounds = 3

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function leases({ signal, progress }) {
  const runs = new Map(counts.map((count) => [count, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [count, results] of runs) {
      progress(`round ${round + 1} of ${rounds}: ${count}`)
      results.push(await run([count, 'instant', 'virtual'], signal))
    }
  }
  progress('10000 idle, half a minute')
  const idle = await run([10_000, 'pcp', 'idle'], signal)

  const column = (count, name) => spreadOf(runs.get(count).map((result) => result[name]))
  /** Constant growth of 1 means n log n; a renewal that costs the same for any number falls below that. */
  const growth = (count) =>
    column(count, 'renewUs').median / Math.log2(count) / (column(counts[0], 'renewUs').median / Math.log2(counts[0]))
  const last = growth(counts.at(-1))
  return {
    name: 'leases',
    title: 'Thousands of leases in one process',
    notes: [
      'The mapper costs nothing and the clock is virtual, so what is measured is the work of the ladder and of the clock. Times are CPU time. Growth is the cost of one renewal over log₂ n, against 1,000 leases: n log n in all would be 1.',
      `Idle: 10,000 leases by PCP from a router in memory, on the real clock, take ${formatNumber(idle.idlePercent)} % of one CPU over 20 s, and ${formatNumber(idle.bytes / 1000)} kB of heap each, with the router's own table.`
    ],
    tables: [
      {
        caption: 'By the number of leases',
        columns: ['leases', 'granting one, µs', 'renewing one, µs', 'growth', 'a report, ms', 'heap for one, kB'],
        rows: counts.map((count) => [
          count.toLocaleString('en'),
          formatSpread(column(count, 'grantUs')),
          formatSpread(column(count, 'renewUs')),
          formatNumber(growth(count)),
          formatSpread(column(count, 'reportMs')),
          formatNumber(column(count, 'bytes').median / 1000)
        ])
      }
    ],
    // Allow half as much again for caches and noise.
    aims: [
      {
        text: 'scheduling 10,000 leases grows as n log n (growth ≤ 1.5)',
        measured: formatNumber(last),
        met: last <= 1.5
      }
    ],
    data: { runs: Object.fromEntries(runs), idle }
  }
}

async function run(args, signal) {
  const child = spawn(process.execPath, ['--expose-gc', program, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal
  })
  const aborted = new Promise((_, reject) => child.once('error', reject))
  return JSON.parse(await Promise.race([text(child.stdout), aborted]))
}
