// Time from the call to the mapping.

import { postern } from '../programs.mjs'
import { aim, compare, tableOf, takeTurns } from '../rounds.mjs'
import { Stage } from '../stage.mjs'

const expect = 'mapped'
const floor = "the protocol's exchanges"
const bare = 'Postern, the strategy'

const job = (name, file, args, calls) => ({ name, job: file, args, calls, expect })
const whole = (name, command) => ({ name: `${name}, whole process`, command, expect })

const ours = (protocol, calls) => [
  job(bare, 'map-strategy', [protocol], calls),
  job('Postern, the ladder', 'map-traversal', [protocol], calls),
  whole(`postern map --once`, (port) => postern('map', String(port), '--via', protocol, '--once'))
]

const natpmpc = whole('natpmpc', (port) => ['natpmpc', '-a', String(port), String(port), 'tcp', '7200'])
const upnpc = whole('upnpc', (port) => ['upnpc', '-a', '192.168.1.2', String(port), String(port), 'tcp', '7200'])
const natPortMapper = (protocol, calls) =>
  job('@achingbrain/nat-port-mapper', 'map-nat-port-mapper', [protocol, '{router}'], calls)
const natApi = (protocol, calls) => job('@silentbot1/nat-api', 'map-nat-api', [protocol], calls)

const scenes = [
  {
    topology: 'home-pcp',
    caption: 'PCP (a router with PCP only)',
    rounds: 7,
    contenders: [
      job(floor, 'floor-pcp', ['{router}'], 6),
      ...ours('pcp', 6),
      { name: 'of the ladder: looking at the network', job: 'find-network', calls: 6 }
    ]
  },
  {
    topology: 'home-nat-pmp',
    caption: 'NAT-PMP (a router with NAT-PMP only)',
    rounds: 7,
    contenders: [
      job(floor, 'floor-nat-pmp', ['{router}'], 6),
      ...ours('nat-pmp', 6),
      natpmpc,
      natPortMapper('nat-pmp', 6),
      natApi('nat-pmp', 6)
    ]
  },
  {
    topology: 'home-upnp',
    caption: 'UPnP (a router with IGD:2 only)',
    rounds: 5,
    contenders: [
      job(floor, 'floor-upnp', ['{router}'], 3),
      ...ours('upnp', 3),
      upnpc,
      natPortMapper('upnp', 1),
      natApi('upnp', 1)
    ]
  },
  {
    topology: 'home',
    caption: 'A router with all three, every client as it comes',
    rounds: 5,
    contenders: [
      job('Postern, the ladder', 'map-traversal', ['any'], 6),
      whole('postern map --once', (port) => postern('map', String(port), '--once')),
      natpmpc,
      upnpc,
      natApi('any', 6),
      natPortMapper('upnp', 1)
    ]
  }
]

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function mapping({ signal, progress }) {
  const results = {}
  for (const { topology, rounds, contenders } of scenes) {
    const stage = await Stage.open(topology, signal)
    try {
      const sample = (contender) => stage.sample(contender)
      results[topology] = await takeTurns(contenders, rounds, sample, (text) => progress(`${topology}: ${text}`))
    } finally {
      await stage.close()
    }
  }
  return {
    name: 'mapping',
    title: 'From the call to the mapping',
    notes: [
      'A first call is the first in a new process with its modules loaded; later calls are made in the same process. A whole process is timed from its start to its end; `postern` finds the compile cache that Node made at its first run, as every run but the first does. A mapping counts only if the rule is in the kernel of the router.',
      '“The protocol’s exchanges” are only the datagrams and HTTP requests that a mapping takes, without any checks.',
      '@achingbrain/nat-port-mapper receives the address of the router for NAT-PMP. Neither it nor @silentbot1/nat-api has PCP.'
    ],
    tables: scenes.map(({ topology, caption, contenders }) =>
      tableOf(caption, results[topology], contenders.some(({ name }) => name === bare) ? bare : contenders[0].name)
    ),
    aims: aimsOf(results),
    data: results
  }
}

function aimsOf(results) {
  const { 'home-pcp': pcp, 'home-nat-pmp': natPmp, 'home-upnp': upnp, home } = results
  const times = (number) => `${number}×`
  const atMost = (limit) => (ratio) => ratio <= limit
  const atLeast = (limit) => (ratio) => ratio >= limit
  const against = (text, rows, name, reference, isMet) => aim(text, compare(rows, name, reference, 'first'), '×', isMet)
  const later = (text, rows) => aim(text, compare(rows, bare, floor, 'again'), '×', atMost(2))
  const wholeOf = (name) => `${name}, whole process`
  return [
    against(`PCP within ${times(2)} of its exchanges, first call`, pcp, bare, floor, atMost(2)),
    later('… later calls', pcp),
    against(`NAT-PMP within ${times(2)} of its exchanges, first call`, natPmp, bare, floor, atMost(2)),
    later('… later calls', natPmp),
    ...['@achingbrain/nat-port-mapper', '@silentbot1/nat-api', wholeOf('natpmpc')].map((peer) =>
      against(`NAT-PMP not slower than ${peer}`, natPmp, peer, bare, atLeast(1))
    ),
    against(
      'natpmpc against postern map, whole processes',
      natPmp,
      wholeOf('natpmpc'),
      wholeOf('postern map --once'),
      atLeast(1)
    ),
    against('UPnP ≥ 10× faster than upnpc', upnp, wholeOf('upnpc'), bare, atLeast(10)),
    against(
      '… whole process against whole process',
      upnp,
      wholeOf('upnpc'),
      wholeOf('postern map --once'),
      atLeast(10)
    ),
    ...['@achingbrain/nat-port-mapper', '@silentbot1/nat-api'].map((peer) =>
      against(`UPnP faster than ${peer}`, upnp, peer, bare, atLeast(1))
    ),
    ...['@silentbot1/nat-api', wholeOf('natpmpc')].map((peer) =>
      against(`All three: the ladder not slower than ${peer}`, home, peer, 'Postern, the ladder', atLeast(1))
    )
  ]
}
