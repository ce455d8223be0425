// Measures the recovery after a reboot of the router, and of the relay.
import { aim, compare, resultOf, tableOf } from '../rounds.mjs'
import { spreadOfKnown } from '../stats.mjs'
import { goStack, isRelayed, isVerified, stacks, World } from '../world.mjs'

const rounds = 3
const capMs = 30_000
const ours = 'Postern'

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function recovery({ signal, progress }) {
  const go = await goStack(progress)
  // Reconnecting helps at the start, not in a recovery.
  const contenders = [...stacks.slice(0, 2), ...(go.stack === undefined ? [] : [go.stack])]
  const scenes = { router: afterRouter, relay: afterRelay }
  const results = {}
  for (const [scene, run] of Object.entries(scenes)) {
    results[scene] = contenders.map(({ name }) => ({ name, first: [], again: [], failures: [] }))
    for (let round = 0; round < rounds; round++) {
      for (const [index, contender] of contenders.entries()) {
        progress(`${scene}, round ${round + 1} of ${rounds}: ${contender.name}`)
        const sample = await run(contender, signal)
        const result = results[scene][index]
        if (sample.failure !== undefined) result.failures.push(sample.failure)
        result.first.push(sample.ms)
        result.again.push(undefined)
      }
    }
  }
  const against = (scene, text) =>
    contenders.slice(1).map(({ name }) => {
      const ratio = compare(results[scene], name, ours, 'first')
      if (ratio !== undefined) return aim(`${text}, against ${name}`, ratio, '×', (each) => each > 1)
      return {
        text: `${text}, against ${name}`,
        measured: resultOf(results[scene], name).failures[0],
        met: resultOf(results[scene], ours).failures.length === 0
      }
    })
  return {
    name: 'recovery',
    title: 'Recovery with libp2p',
    notes: [
      'After a reboot (rules and leases gone, no goodbye) time runs from the moment the daemon is back until the rule is back in the kernel of the router. RFC 6886 and 6887 ask every host to wait up to 5 s at random before that. After a restart of the relay with the same key (SIGKILL, then a new start) time runs from the moment it listens until the node announces a relayed address again. The router of that scene maps nothing, and go-libp2p is configured as unreachable, which it would find out by itself in some 20 s.',
      ...(go.stack === undefined ? [`go-libp2p was not measured: ${go.reason}.`] : [])
    ],
    tables: [
      tableOf('A mapping again after a reboot of the router', results.router, ours),
      tableOf('A relayed address again after a restart of the relay', results.relay, ours)
    ],
    aims: [
      aim(
        'mapped again within 6 s of the return of the router',
        spreadOfKnown(resultOf(results.router, ours).first),
        ' ms',
        (ms) => ms <= 6000
      ),
      aim(
        'reserved again within 5 s of the return of the relay',
        spreadOfKnown(resultOf(results.relay, ours).first),
        ' ms',
        (ms) => ms <= 5000
      ),
      ...against('router', 'reboot of the router'),
      ...against('relay', 'restart of the relay')
    ],
    data: results
  }
}

async function afterRouter(contender, signal) {
  const world = await World.open('home', signal)
  try {
    const node = world.startHome(contender)
    // Wait until the stack has settled. One that never verifies is not waited for any longer.
    if (!(await ruleIsThere(world, capMs))) return { failure: 'never maps' }
    await node.hear(isVerified, 8000)
    await world.lab.reboot()
    const startMs = performance.now()
    const isBack = await ruleIsThere(world, capMs)
    const ms = performance.now() - startMs
    await node.end()
    return isBack ? { ms } : { failure: `> ${capMs / 1000} s` }
  } finally {
    await world.close()
  }
}

async function ruleIsThere({ lab }, timeoutMs) {
  const endMs = performance.now() + timeoutMs
  while (performance.now() < endMs) {
    if ((await lab.rules()).some(({ internalPort }) => internalPort === 4001)) return true
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return false
}

async function afterRelay(contender, signal) {
  const world = await World.open('no-daemon', signal)
  try {
    // One relay, so that the node cannot use another one.
    await world.killPeer('bravo')
    await world.killPeer('charlie')
    world.peers = world.peers.slice(0, 1)
    const node = world.startHome(contender, 'private')
    if ((await node.hear(isRelayed, capMs)) === undefined) return { failure: 'never relayed' }
    await world.killPeer('alpha')
    if (
      (await node.hear((line) => isRelayed(line) === false && isAnnouncement(line), 10_000, node.heard)) === undefined
    )
      return { failure: 'announces the dead relay for 10 s and more' }
    const from = node.heard
    await world.startPeer('alpha')
    const startMs = performance.now()
    const line = await node.hear(isRelayed, capMs, from)
    await node.end()
    return line === undefined ? { failure: `> ${capMs / 1000} s` } : { ms: line.at - startMs }
  } finally {
    await world.close()
  }
}

const isAnnouncement = ({ addresses, event }) => addresses !== undefined || event === 'addresses'
