// Measures the time from the relayed connection of two homes to the direct one, against go-libp2p's own DCUtR.
import { setTimeout as sleep } from 'node:timers/promises'
import { betweenTiers, canDelay } from '@postern/lab'
import { buildGoPunch, punchVersions } from '../../interop/build.mjs'
import { aim, compare, resultOf, tableOf } from '../rounds.mjs'
import { spreadOfKnown } from '../stats.mjs'
import { punchNode, Talker, World } from '../world.mjs'

const rounds = 5
/** By then go-libp2p has finished its three rounds, unless there is no answer at all. */
const capMs = 10_000
/** A home must have its reservation within this time, and go-libp2p its address from four peers; otherwise both start
 * again. */
const readyMs = 5000
/** No peer is dialled before this time has passed since its start, so that each stack can first find out about its NAT
 * (ms). */
const settleMs = 2000
const maxStarts = 4
/** Postern punches again at once for a peer if the direct connection lasted this long (ms). */
const lastingMs = 6000
const ours = 'Postern'

const cells = [
  { name: 'home and home, DROP, no delay', tiers: ['home', 'home'], routers: {}, again: true },
  { name: 'home and home, RST, no delay', tiers: ['home', 'home'], routers: { wanInput: 'reject' }, again: true },
  { name: 'home and home, DROP, 10 ms', tiers: ['home', 'home'], routers: { delayMs: 10 } },
  { name: 'home and home, RST, 10 ms', tiers: ['home', 'home'], routers: { delayMs: 10, wanInput: 'reject' } },
  { name: 'home and carrier, DROP, 10 ms', tiers: ['home', 'carrier'], routers: { delayMs: 10 } },
  {
    name: 'carrier and carrier, RST, 10 ms',
    tiers: ['carrier', 'carrier'],
    routers: { delayMs: 10, wanInput: 'reject' }
  }
]
/** Both have to stay relayed. */
const hopeless = { name: 'symmetric and symmetric, DROP, no delay', tiers: ['symmetric', 'symmetric'], routers: {} }

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function punch({ signal, progress }) {
  const delays = await canDelay()
  const version = punchVersions.at(-1)
  const go = await buildGoPunch(version, progress)
  const contenders = [{ name: ours, command: (peers) => punchNode('punching', 4001, peers) }]
  if (go.ok) {
    const command = (listen) => (peers, seed) => [
      go.path,
      `-seed=${seed}`,
      `-listen=${listen}`,
      `-relay=${peers[0]}`,
      `-peers=${peers.join()}`
    ]
    // Different ports, so that what a router remembers of one does not affect the other.
    contenders.push(
      { name: `go-libp2p ${version}, TCP`, command: command('/ip4/0.0.0.0/tcp/4002') },
      {
        name: `go-libp2p ${version}, TCP and QUIC`,
        command: command('/ip4/0.0.0.0/tcp/4003,/ip4/0.0.0.0/udp/4003/quic-v1')
      }
    )
  }
  const measured = []
  for (const cell of cells.filter(({ routers }) => delays.ok || routers.delayMs === undefined))
    measured.push(await measure(cell, contenders, rounds, signal, progress))
  const stayed = await measure(hopeless, contenders, 1, signal, progress)

  return {
    name: 'punch',
    title: 'From relayed to direct between two homes',
    notes: [
      'Both homes use the same stack, and have held their reservations for two seconds. Time runs from the first relayed connection that either side reports until both have reported a direct one; an attempt without one for 10 s has failed. The routers map nothing. A delay is one way on the link of each home, so that 10 ms make a round trip of 40 ms between the homes. No delay at all is the worst case for the routers, and does not occur between real homes. Every round has a new lab, and every attempt new processes, so that JavaScript runs uncompiled, as it does the first time in an application. Without delay only CPU time counts: there the same two processes also hang up and meet once more, for which go-libp2p uses the ports of the first time.',
      'Postern uses TCP only. Go-libp2p is measured with TCP only, and with its defaults, including QUIC; four peers report its address to it first, as it requires.',
      ...(go.ok ? [] : [`go-libp2p was not measured: ${go.reason}`]),
      ...(delays.ok ? [] : [`There was no delay: ${delays.reason}`])
    ],
    tables: [
      ...measured.map(({ name, results }) => tableOf(`${name}: direct connections`, results, ours)),
      {
        caption: `${hopeless.name}: what becomes of it`,
        columns: ['', 'direct'],
        rows: stayed.results.map((each) => [each.name, `${successes(each)} of ${each.first.length}`])
      }
    ],
    aims: measured.flatMap(({ name, results }) => aimsOf(name, results, contenders.slice(1))),
    data: { measured, stayed }
  }
}

async function measure({ name, tiers, routers, again = false }, contenders, times, signal, progress) {
  const results = contenders.map((each) => ({ name: each.name, first: [], again: [], failures: [] }))
  for (let round = 0; round < times; round++) {
    progress(`${name}, round ${round + 1} of ${times}`)
    const world = await World.open(betweenTiers(...tiers, { home: routers, home2: routers }), signal)
    try {
      const peers = [...world.peers, await world.startPeer('outsider')]
      for (const [index, contender] of contenders.entries()) {
        signal.throwIfAborted()
        const [first, later] = await attempt(world.lab, contender, peers, again ? 2 : 1)
        results[index].first.push(first)
        results[index].again.push(later)
        if (first === undefined) results[index].failures.push('no direct connection')
      }
    } finally {
      await world.close()
    }
  }
  return { name, results }
}

let started = 0

/** Starts two new processes that can be reached through the relay. The time that this takes is not measured. */
async function startHomes(lab, { name, command }, peers) {
  const events = ['ready', 'relayed', ...(name === ours ? [] : ['able'])]
  for (let starts = 1; ; starts++) {
    started++
    const homes = ['home', 'home2'].map((host) => new Talker(lab, host, command(peers, `${host}-${started}`)))
    const heard = await Promise.all(
      homes.map((each) => Promise.all(events.map((event) => each.hear((line) => line.event === event, readyMs))))
    )
    if (!heard.flat().includes(undefined)) {
      await sleep(settleMs)
      const [[{ peerId }, { address }], [{ peerId: peerId2 }]] = heard
      return { homes, address, others: [peerId2, peerId] }
    }
    await Promise.all(homes.map((each) => each.kill()))
    const missing = events.filter((_, index) => heard.some((each) => each[index] === undefined))
    if (starts === maxStarts) throw new Error(`${name}: a home does not get ready: ${missing.join()}`)
  }
}

/** Lets two new processes meet this many times. Resolves with the time of each, in ms; undefined where there was no
 * direct connection. */
async function attempt(lab, contender, peers, times) {
  const { homes, address, others } = await startHomes(lab, contender, peers)
  try {
    const all = [await meet(contender, homes, address, others)]
    while (all.length < times && all.at(-1) !== undefined) {
      await sleep(lastingMs)
      homes.forEach((each, index) => each.say(`hangup ${others[index]}`))
      await sleep(settleMs)
      all.push(await meet(contender, homes, address, others))
    }
    return all
  } finally {
    await Promise.all(homes.map((each) => each.kill()))
  }
}

async function meet(contender, homes, address, others) {
  const from = homes.map((each) => each.heard)
  homes[1].say(`dial ${address}`)
  const lines = await Promise.all(
    homes.flatMap((each, index) =>
      [false, true].map((direct) =>
        each.hear(
          (line) =>
            (line.event === 'connection' && line.peerId === others[index] && line.direct === direct) ||
            (direct && line.event === 'upgrade' && line.state === 'failed'),
          capMs,
          from[index]
        )
      )
    )
  )
  const [relayed, direct, relayed2, direct2] = lines
  if (relayed === undefined && relayed2 === undefined)
    throw new Error(`${contender.name}: there is no relayed connection`)
  if (direct?.event !== 'connection' || direct2?.event !== 'connection') return undefined
  const began = Math.min(...[relayed, relayed2].flatMap((line) => line?.at ?? []))
  return Math.max(direct.at, direct2.at) - began
}

const successes = ({ first }) => first.filter((ms) => ms !== undefined).length

function aimsOf(cell, results, others) {
  const own = resultOf(results, ours)
  return others.flatMap(({ name }) => {
    const theirs = resultOf(results, name)
    return [
      {
        text: `${cell}: at least as successful as ${name}`,
        measured: `${successes(own)} of ${own.first.length} against ${successes(theirs)}`,
        met: successes(own) >= successes(theirs)
      },
      successes(theirs) === 0
        ? {
            text: '… and never slower than 1.5×',
            measured: `${spreadOfKnown(own.first)?.median.toFixed(0)} ms; it fails`,
            met: successes(own) > 0
          }
        : aim('… and never slower than 1.5×', compare(results, ours, name, 'first'), '×', (ratio) => ratio <= 1.5)
    ]
  })
}
