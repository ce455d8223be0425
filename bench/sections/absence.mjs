// Time without any mapping service: to the first report of that, and to the verdict.
import { postern } from '../programs.mjs'
import { aim, resultOf, tableOf, takeTurns } from '../rounds.mjs'
import { Stage } from '../stage.mjs'
import { spreadOfKnown } from '../stats.mjs'

const ladder = 'Postern, the ladder: the verdict'
const strategyOf = (protocol) => `Postern, ${protocol}: the first word`
const protocols = ['pcp', 'nat-pmp', 'upnp']

const ours = [
  ...protocols.map((protocol) => ({ name: strategyOf(protocol), job: 'absence-strategy', args: [protocol] })),
  { name: ladder, job: 'absence-traversal' },
  { name: 'postern map --once, whole process', command: (port) => postern('map', String(port), '--once'), fails: true }
]

/** The libraries that give up at all: a call that fails is their way to report it. */
const peers = [
  {
    name: 'natpmpc, whole process',
    command: (port) => ['natpmpc', '-a', String(port), String(port), 'tcp'],
    fails: true
  },
  {
    name: 'upnpc, whole process',
    command: (port) => ['upnpc', '-a', '192.168.1.2', String(port), String(port), 'tcp'],
    fails: true
  },
  { name: '@silentbot1/nat-api', job: 'absence-nat-api' },
  { name: '@achingbrain/nat-port-mapper, NAT-PMP', job: 'absence-nat-port-mapper', args: ['nat-pmp', '{router}'] },
  { name: '@achingbrain/nat-port-mapper, UPnP', job: 'absence-nat-port-mapper', args: ['upnp', '{router}'] }
]

const scenes = [
  { topology: 'silent', caption: 'A router that drops every request' },
  { topology: 'no-daemon', caption: 'A router with closed ports' }
]
const rounds = { ours: 5, peers: 1 }
const capMs = 8500

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function absence({ signal, progress }) {
  const results = {}
  for (const { topology } of scenes) {
    // A new lab each time: Linux reports closed ports to one host six times at once, and then once a second.
    const sample = async (contender) => {
      const stage = await Stage.open(topology, signal)
      try {
        return await stage.sample(contender, capMs)
      } finally {
        await stage.close()
      }
    }
    const turns = (contenders, count) =>
      takeTurns(contenders, count, sample, (text) => progress(`${topology}: ${text}`))
    const own = await turns(ours, rounds.ours)
    // They only wait, for seconds: run all at once.
    const others = await Promise.all(peers.map((peer) => turns([peer], rounds.peers)))
    results[topology] = [...own, ...others.flat()]
  }
  return {
    name: 'absence',
    title: 'Where there is nothing',
    notes: [
      'Postern’s verdict here is provisional: the schedules of the protocols go on, up to 127 s, and a router that answers late is used.',
      'Each call is made in a new lab, because Linux routers report to a host only six times at once, and then once a second, that a port is closed.',
      'The other libraries wait for seconds, so each is called once, all at the same time. The bench waits 8.5 s for them.'
    ],
    tables: scenes.map(({ topology, caption }) => tableOf(caption, results[topology], ladder)),
    aims: [
      ...aimsOf('silent', results.silent, 1000, protocols),
      ...aimsOf('closed ports', results['no-daemon'], 50, protocols)
    ],
    data: results
  }
}

const aimsOf = (where, results, limitMs, names) =>
  [...names.map(strategyOf), ladder].map((name) =>
    aim(
      `${where}, ≤ ${limitMs} ms: ${name}`,
      spreadOfKnown(resultOf(results, name).first),
      ' ms',
      (ms) => ms <= limitMs
    )
  )
