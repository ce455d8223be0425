// What a direct connection is worth: latency and throughput, relayed against punched.
import { betweenTiers, canDelay } from '@postern/lab'
import { formatSpread, ratiosOf, spreadOf } from '../stats.mjs'
import { aim } from '../rounds.mjs'
import { punchNode, Talker, World } from '../world.mjs'

const rounds = 5
const waitMs = 60_000
const delayMs = 10

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function flow({ signal, progress }) {
  const routers = (await canDelay()).ok ? { delayMs } : {}
  const world = await World.open(betweenTiers('home', 'home', { home: routers, home2: routers }), signal, 'generous')
  try {
    const ways = [
      { name: 'relayed', pair: await connect(world, 'relayed', 4001), direct: false, rtt: [], speed: [] },
      { name: 'direct, punched', pair: await connect(world, 'punching', 4002), direct: true, rtt: [], speed: [] }
    ]
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) {
        progress(`round ${round + 1} of ${rounds}: ${way.name}`)
        way.rtt.push(spreadOf((await ask(way, 'echo')).times).median)
        way.speed.push((await ask(way, 'send')).megabytesPerSecond)
      }
    }
    const [relayed, direct] = ways
    const faster = spreadOf(ratiosOf(direct.speed, relayed.speed))
    return {
      name: 'flow',
      title: 'Relayed against direct',
      notes: [
        `Two homes and a relay, all with js-libp2p${routers.delayMs === undefined ? '' : `, ${delayMs} ms one way on the link of each home`}: between two homes the way leads over both links, through the relay as well as without it. What differs is the relay itself, whose process copies every byte. The stock relay ends a connection after 128 KiB or 2 minutes; the one here lets 1 TiB pass, or there would be nothing to measure. A round trip is 32 bytes on an open stream, the middle of 20; the throughput is 16 MiB on one stream until the other side has all of them, in MB of 1,000,000 bytes.`
      ],
      tables: [
        {
          caption: 'One stream between two homes',
          columns: ['', 'round trip, ms', 'MB/s', '× relayed'],
          rows: ways.map(({ name, rtt, speed }) => [
            name,
            formatSpread(spreadOf(rtt)),
            formatSpread(spreadOf(speed)),
            speed === relayed.speed ? '1' : formatSpread(spreadOf(ratiosOf(speed, relayed.speed)))
          ])
        }
      ],
      aims: [aim('direct carries more than relayed', faster, '×', (ratio) => ratio > 1)],
      data: ways.map(({ name, rtt, speed }) => ({ name, rtt, speed }))
    }
  } finally {
    await world.close()
  }
}

/** Two nodes that are connected, in the way that is asked for. */
async function connect({ lab, peers }, kind, port) {
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
