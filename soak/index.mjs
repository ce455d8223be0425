// npm run soak: runs a home in the lab through all kinds of faults.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { canRunLab, openLab, withPeers } from '@postern/lab'
import { randomOf } from '../fuzz/random.mjs'
import { faults } from './faults.mjs'
import { startHome, startPeer } from './programs.mjs'
import { formatReport, judge } from './report.mjs'

const usage = `npm run soak [-- minutes] [-- options]

  minutes      how long faults come (10); a calm minute follows
  --seed <n>   the order and the moments of the faults (random)
  --json       the result as one JSON object on standard output
  --help

A server behind expose() and a libp2p node with the whole ladder, in a home of the lab with two public peers. At random: ${Object.keys(faults).join(', ')}.
Compares memory, descriptors, timers and listeners before and after, and looks at what is left in the router after a stop.

Examples:
  npm run soak                     ten minutes
  npm run soak -- 60 --seed 7      an hour, as it was with seed 7

Exit codes: 0 nothing leaks, 1 a leak or a rule left behind, 2 invalid command line, 130 interrupted.`

const settleMs = 30_000
const calmMs = 60_000
const options = { seed: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' } }
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => interrupted.abort())
const { signal } = interrupted
const tell = (text) => console.error(text)

process.exitCode = await main()

async function main() {
  let read
  try {
    read = parseArgs({ options, allowPositionals: true })
    if (read.positionals.length > 1) throw new TypeError(`one number of minutes: ${read.positionals.join(' ')}`)
  } catch (error) {
    tell(`${error.message}\n\n${usage}`)
    return 2
  }
  const { json = false, help = false } = read.values
  const minutes = Number(read.positionals[0] ?? 10)
  const seed = Number(read.values.seed ?? Date.now() % 1_000_000_000)
  if (help || !(minutes > 0 && minutes <= 10_000) || !Number.isInteger(seed)) {
    if (help) console.log(usage)
    else tell(usage)
    return help ? 0 : 2
  }
  const support = await canRunLab()
  if (!support.ok) {
    tell(`Without the lab there is no soak: ${support.reason}`)
    return 1
  }
  tell(`seed ${seed}, ${minutes} min; Ctrl-C ends it with a summary`)
  const folder = await mkdtemp(join(tmpdir(), 'postern-soak-'))
  const lab = await openLab(withPeers('home'))
  try {
    const result = await soak(lab, folder, minutes, seed)
    const judged = judge(result)
    if (json) console.log(JSON.stringify({ seed, ...result, ...judged }))
    else console.log(formatReport(judged, result))
    return judged.problems.length > 0 ? 1 : signal.aborted ? 130 : 0
  } finally {
    await lab.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function soak(lab, folder, minutes, seed) {
  const random = randomOf(seed)
  const key = (host) => join(folder, `${host}.key`)
  const peers = new Map()
  for (const host of ['alpha', 'bravo']) peers.set(host, await startPeer(lab, host, key(host)))
  const home = await startHome(
    lab,
    [...peers.values()].map(({ address }) => address)
  )
  const scene = {
    lab,
    signal,
    async restartPeer(host, pauseMs) {
      peers.get(host).child.kill('SIGKILL')
      await peers.get(host).closed
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
      peers.set(host, await startPeer(lab, host, key(host)))
      home.meet()
    }
  }
  await pause(settleMs)
  const before = await home.measure()
  const counts = Object.fromEntries(Object.keys(faults).map((name) => [name, 0]))
  const began = performance.now()
  while (!signal.aborted && performance.now() - began < minutes * 60_000) {
    const name = random.pick(Object.keys(faults))
    counts[name] += 1
    const ago = ((performance.now() - began) / 60_000).toFixed(1)
    tell(`${ago} min: ${name}`)
    // An interruption ends a fault early; by then its changes are undone.
    await faults[name](scene, random).catch((error) => {
      if (!signal.aborted) throw error
    })
    await pause(500 + random.below(14_000))
  }
  const lastedMinutes = (performance.now() - began) / 60_000
  if (!signal.aborted) tell(`a calm minute`)
  await pause(calmMs)
  const after = await home.measure()
  const stop = await home.stop()
  const left = await lab.rules()
  for (const { child } of peers.values()) child.kill('SIGTERM')
  return { seed, minutes: lastedMinutes, counts, before, after, stop, left }
}

/** Shows that it is still running; ends early when it is interrupted. */
async function pause(ms) {
  for (let left = ms; left > 0 && !signal.aborted; left -= 4000) {
    await sleep(Math.min(left, 4000), undefined, { signal }).catch(() => undefined)
    if (left > 4000) tell('…')
  }
}
