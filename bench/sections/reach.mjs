// Measures the time from createLibp2p() to an address that others can dial, and to a verified direct one.
import { aim, compare, resultOf, tableOf } from '../rounds.mjs'
import { spreadOfKnown } from '../stats.mjs'
import { goStack, isDialable, isVerified, stacks, World } from '../world.mjs'

const rounds = 5
const capMs = 30_000
const ours = 'Postern'

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function reach({ signal, progress }) {
  const go = await goStack(progress)
  const contenders = go.stack === undefined ? stacks : [...stacks, go.stack]
  const dialable = contenders.map(({ name }) => ({ name, first: [], again: [], failures: [] }))
  const verified = contenders.map(({ name }) => ({ name, first: [], again: [], failures: [] }))
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      progress(`round ${round + 1} of ${rounds}: ${contender.name}`)
      const world = await World.open('home', signal)
      try {
        const node = world.startHome(contender)
        note(dialable[index], await node.hear(isDialable, capMs))
        note(verified[index], await node.hear(isVerified, capMs))
        await node.end()
      } finally {
        await world.close()
      }
    }
  }
  const others = contenders.slice(1).map(({ name }) => name)
  return {
    name: 'reach',
    title: 'From start to reachable with libp2p',
    notes: [
      'A home behind a router with UPnP (IGD:2), NAT-PMP and PCP; three public peers, each a relay and an AutoNAT v2 server, are connected at the start, and two of them are named as relays. Time runs from createLibp2p(), in Go from the start of the process. An address counts when the node itself announces it; a verified one is the mapped address, announced because AutoNAT confirmed it. Every round has a new lab.',
      ...(go.stack === undefined ? [`go-libp2p was not measured: ${go.reason}.`] : [])
    ],
    tables: [
      tableOf('To the first address that others can dial, relayed or direct', dialable, ours),
      tableOf('To the first direct address that was verified', verified, ours)
    ],
    aims: [
      aim(
        'relayed or direct within 1 s of start',
        spreadOfKnown(resultOf(dialable, ours).first),
        ' ms',
        (ms) => ms <= 1000
      ),
      aim(
        'direct and verified within 2 s of start',
        spreadOfKnown(resultOf(verified, ours).first),
        ' ms',
        (ms) => ms <= 2000
      ),
      ...others.flatMap((name) => [
        aim(`first address, against ${name}`, compare(dialable, name, ours, 'first'), '×', (ratio) => ratio > 1),
        aimOrNever(`verified address, against ${name}`, verified, name)
      ])
    ],
    data: { dialable, verified }
  }
}

function note(result, line) {
  if (line === undefined) result.failures.push(`> ${capMs / 1000} s`)
  result.first.push(line?.ms)
  result.again.push(undefined)
}

/** A contender that never gets there is behind. */
function aimOrNever(text, results, name) {
  const ratio = compare(results, name, ours, 'first')
  if (ratio !== undefined) return aim(text, ratio, '×', (each) => each > 1)
  const isOursThere = resultOf(results, ours).failures.length === 0
  return { text, measured: `it does not within ${capMs / 1000} s`, met: isOursThere }
}
