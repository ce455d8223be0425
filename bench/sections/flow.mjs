// Measures the benefit of a direct connection: latency and throughput, relayed and punched.
import { betweenTiers, canDelay } from '@postern/lab'
import { aim } from '../rounds.mjs'
import { formatSpread, ratiosOf, spreadOf } from '../stats.mjs'
import { punchNode, Talker, World } from '../world.mjs'

const rounds = 5
const waitMs = 60_000
const delayMs = 10

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function flow({ signal, progress }) {
  const { ok: delays } = await canDelay()
  const routers = delays ? { delayMs } : {}
  const topology = betweenTiers('home', 'home', { home: routers, home2: routers })
  const world = await World.open(topology, signal, 'generous', delays ? { bravo: delayMs } : {})
  try {
    const [near, far, ...others] = world.peers
    const pairs = [
      { name: 'relayed, the relay next door', kind: 'relayed', peers: [near, far, ...others] },
      ...(delays
        ? [{ name: `relayed, the relay ${delayMs} ms off`, kind: 'relayed', peers: [far, near, ...others] }]
        : []),
      { name: 'direct, punched', kind: 'punching', peers: [near, far, ...others] }
    ]
    const ways = []
    for (const [index, { name, kind, peers }] of pairs.entries()) {
      const pair = await connect(world.lab, kind, 4001 + index, peers)
      ways.push({ name, pair, direct: kind === 'punching', rtt: [], speed: [] })
    }
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) {
        progress(`round ${round + 1} of ${rounds}: ${way.name}`)
        way.rtt.push(spreadOf((await ask(way, 'echo')).times).median)
        way.speed.push((await ask(way, 'send')).megabytesPerSecond)
      }
    }
    const direct = ways.at(-1)
    const relayed = ways.at(-2)
    const faster = spreadOf(ratiosOf(direct.speed, relayed.speed))
    const sooner = spreadOf(ratiosOf(relayed.rtt, direct.rtt))
    return {
      name: 'flow',
      title: 'Relayed against direct',
      notes: [
        `Two homes and a relay, all with js-libp2p${delays ? `, ${delayMs} ms one way on the link of each home, and on the link of one of the relays` : ''}: the path between two homes leads over both links, through a relay as well as without it. A relay adds its own distance twice, and its process copies every byte. The stock relay ends a connection after 128 KiB or 2 minutes; the relay here allows 1 TiB, or there would be nothing to measure. A round trip is 32 bytes on an open stream, the median of 20; the throughput is 16 MiB on one stream until the other side has all of them, in MB of 1,000,000 bytes.`
      ],
      tables: [
        {
          caption: 'One stream between two homes',
          columns: ['', 'round trip, ms', 'MB/s', '× direct'],
          rows: ways.map(({ name, rtt, speed }) => [
            name,
            formatSpread(spreadOf(rtt)),
            formatSpread(spreadOf(speed)),
            speed === direct.speed ? '1' : formatSpread(spreadOf(ratiosOf(speed, direct.speed)))
          ])
        }
      ],
      // Without a delay there is no distance to the relay, and nothing to gain.
      aims: delays
        ? [
            aim(`direct answers sooner than ${relayed.name}`, sooner, '×', (ratio) => ratio > 1),
            aim(`direct carries more than ${relayed.name}`, faster, '×', (ratio) => ratio > 1)
          ]
        : [],
      data: ways.map(({ name, rtt, speed }) => ({ name, rtt, speed }))
    }
  } finally {
    await world.close()
  }
}

/** Returns two nodes that are connected in the given way. */
async function connect(lab, kind, port, peers) {
  const [home, home2] = ['home', 'home2'].map((host) => new Talker(lab, host, punchNode(kind, port, peers)))
  const relayed = await home.hear(({ event }) => event === 'relayed', waitMs)
  const { peerId } = await home.hear(({ event }) => event === 'ready', waitMs)
  await home2.hear(({ event }) => event === 'relayed', waitMs)
  home2.say(`dial ${relayed.address}`)
  const isThere = (line) =>
    line.event === 'connection' && line.peerId === peerId && line.direct === (kind === 'punching')
  if ((await home2.hear(isThere, waitMs)) === undefined) throw new Error(`${kind}: no connection`)
  return { from: home2, to: peerId }
}

async function ask({ name, pair: { from, to }, direct }, command) {
  const heard = from.heard
  from.say(`${command} ${to}`)
  const told = await from.hear(({ event }) => event === command || event === 'failure', waitMs, heard)
  if (told?.direct !== direct) throw new Error(`${name}: ${command} fails: ${told?.message ?? 'another connection'}`)
  return told
}
