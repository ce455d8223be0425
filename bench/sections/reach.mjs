// Measures the time from createLibp2p() to an address that others can dial, and to a verified direct one.
import { aim, compare, resultOf, tableOf, takeTurns } from '../rounds.mjs'
import { spreadOfKnown } from '../stats.mjs'
import { dialableOf, goStack, isVerified, stacks, World } from '../world.mjs'

/** A first address differs from run to run by the order of a few packets. */
const dialableRounds = 9
const verifiedRounds = 5
const capMs = 30_000
const ours = 'Postern'

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function reach({ signal, progress }) {
  const go = await goStack(progress)
  const contenders = go.stack === undefined ? stacks : [...stacks, go.stack]
  // That one is the same until it is mapped.
  const starters = contenders.filter(({ isLater }) => isLater !== true)
  const measure = (all, rounds, sample) =>
    takeTurns(all, rounds, (contender) => inNewWorld(contender, signal, sample), progress)
  const dialable = await measure(starters, dialableRounds, firstDialled)
  const verified = await measure(contenders, verifiedRounds, firstVerified)
  const others = contenders.slice(1).map(({ name }) => name)
  return {
    name: 'reach',
    title: 'From start to reachable with libp2p',
    notes: [
      'A home behind a router with UPnP (IGD:2), NAT-PMP and PCP; three public peers, each a relay and an AutoNAT v2 server, are dialled by the program as soon as the node listens over TCP, and two of them are named as relays. Time runs from createLibp2p(), in Go from the start of the process. An address counts when the node itself announces it. A first address counts only if a host outside, which is connected to nothing, then reaches the node at it; a verified one is the mapped address, announced because AutoNAT confirmed it. Every run has a new lab.',
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
      ...starters.slice(1).map(({ name, isStock }) => {
        const least = isStock === true ? 0.85 : 1
        const ratio = compare(dialable, name, ours, 'first')
        return aim(`first address, against ${name}: at least ${least}×`, ratio, '×', (each) => each >= least)
      }),
      ...others.map((name) => aimOrNever(`verified address, against ${name}`, verified, name))
    ],
    data: { dialable, verified }
  }
}

async function inNewWorld(contender, signal, sample) {
  const world = await World.open('home', signal)
  try {
    return await sample(world, contender)
  } finally {
    await world.close()
  }
}

/** Times the first announced address at which a host outside reaches the node. */
async function firstDialled(world, contender) {
  const visitor = await world.startVisitor()
  const node = world.startHome(contender)
  const endMs = performance.now() + capMs
  const tried = new Set()
  let failure = `> ${capMs / 1000} s`
  const isNews = (line) => dialableOf(line).some((each) => !tried.has(each))
  for (;;) {
    const line = await node.hear(isNews, Math.max(0, endMs - performance.now()))
    if (line === undefined) return { failure }
    const [address] = dialableOf(line).filter((each) => !tried.has(each))
    tried.add(address)
    visitor.say(address)
    const visit = await visitor.hear((told) => told.address === address, capMs)
    if (visit?.isThere === true) {
      await node.end()
      return { times: [line.ms] }
    }
    failure = `announces an address that leads nowhere: ${visit?.failure ?? 'no answer'}`
  }
}

async function firstVerified(world, contender) {
  const node = world.startHome(contender)
  const line = await node.hear(isVerified, capMs)
  await node.end()
  return line === undefined ? { failure: `> ${capMs / 1000} s` } : { times: [line.ms] }
}

/** A contender that never gets there is behind. */
function aimOrNever(text, results, name) {
  const ratio = compare(results, name, ours, 'first')
  if (ratio !== undefined) return aim(text, ratio, '×', (each) => each > 1)
  const isOursThere = resultOf(results, ours).failures.length === 0
  return { text, measured: `it does not within ${capMs / 1000} s`, met: isOursThere }
}
