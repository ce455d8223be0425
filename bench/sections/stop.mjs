// stop() with ten mappings.
import { aim, resultOf, tableOf, takeTurns } from '../rounds.mjs'
import { Stage } from '../stage.mjs'
import { spreadOfKnown } from '../stats.mjs'

const mappings = 10
const rounds = 5
const contender = (name, job, args) => ({ name, job, args, ports: mappings, expect: 'unmapped' })
const ours = 'Postern, stop()'
const scenes = [
  { topology: 'home-pcp', protocol: 'PCP', contenders: [contender(ours, 'stop-traversal', ['pcp'])] },
  {
    topology: 'home-nat-pmp',
    protocol: 'NAT-PMP',
    contenders: [
      contender(ours, 'stop-traversal', ['nat-pmp']),
      contender('@silentbot1/nat-api, destroy()', 'stop-nat-api', [])
    ]
  },
  { topology: 'home-upnp', protocol: 'UPnP', contenders: [contender(ours, 'stop-traversal', ['upnp'])] }
]

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function stop({ signal, progress }) {
  const results = {}
  for (const { topology, contenders } of scenes) {
    const stage = await Stage.open(topology, signal)
    try {
      const sample = (each) => stage.sample(each)
      results[topology] = await takeTurns(contenders, rounds, sample, (text) => progress(`${topology}: ${text}`))
    } finally {
      await stage.close()
    }
  }
  return {
    name: 'stop',
    title: `Stopping with ${mappings} mappings`,
    notes: ['A stop counts only if no rule is left in the kernel of the router.'],
    tables: scenes.map(({ topology, protocol }) => tableOf(protocol, results[topology], ours)),
    aims: scenes.map(({ topology, protocol }) =>
      aim(
        `${protocol}: stop() with ${mappings} mappings ≤ 500 ms`,
        spreadOfKnown(resultOf(results[topology], ours).first),
        ' ms',
        (ms) => ms <= 500
      )
    ),
    data: results
  }
}
