import { randomOf } from '../random.mjs'
import { randomFault } from './faults.mjs'
import { offNetwork, onNetwork, openHome } from './home.mjs'
import { randomPeers } from './peers.mjs'

const steps = {
  fault: (home, random) => void home.gateway.inject(randomFault(random)),
  clear: (home) => home.gateway.clearFaults(),
  recheck: (home) => home.traversal.recheck(),
  forget: (home) => home.gateway.forget(),
  address: (home, random) => home.gateway.setExternalAddress(`11.0.0.${2 + random.below(9)}`),
  reboot(home, random) {
    const port = random.chance(0.3) ? { upnpPort: 5000 + random.below(99) } : {}
    home.gateway.reboot({ keepMappings: random.chance(0.2), ...port })
    if (random.chance(0.5)) home.gateway.announce()
  },
  /** Any host on the link can send these, in any order, at any moment. */
  async announce(home, random) {
    for (let left = 1 + random.below(5); left > 0; left--) {
      if (random.chance(0.3)) home.gateway.reboot({ keepMappings: true, upnpPort: 5000 + random.below(99) })
      home.gateway.announce(random.pick([undefined, { upnp: 'byebye' }, { upnp: 'alive' }]))
      await home.advance(random.pick([1, 10, 100, 400]))
    }
  },
  async network(home, random) {
    home.setNetwork(offNetwork)
    await home.advance(random.pick([100, 3000]))
    home.setNetwork(onNetwork)
  },
  async unplugged(home, random) {
    home.unplug()
    await home.advance(random.pick([500, 20_000]))
    home.plug()
  }
}

const pace = {
  routers: {
    of: ['fault', 'fault', 'fault', 'clear', 'reboot', 'address', 'forget', 'recheck', 'network', 'unplugged'],
    pauses: [50, 700, 3000, 20_000, 120_000, 1_200_000]
  },
  announcements: {
    of: ['fault', 'announce', 'announce', 'announce', 'clear', 'reboot', 'address', 'forget', 'recheck', 'network'],
    pauses: [5, 50, 700, 3000, 20_000]
  },
  peers: {
    of: ['fault', 'clear', 'reboot', 'address', 'forget', 'recheck', 'network', 'announce'],
    pauses: [50, 700, 20_000, 600_000]
  }
}

/** Random scenarios of a home: what its router, its neighbours and its peers do, and when. */
export const scenarios = Object.keys(pace)

/** Runs one. Resolves with what went wrong, in words. */
export async function live(scenario, seed) {
  const random = randomOf(seed)
  const { of, pauses } = pace[scenario]
  const peers = scenario === 'peers' ? randomPeers(random) : undefined
  const home = openHome(random, peers?.strategies)
  const trace = []
  const rejected = (error) => home.report(`unhandled: ${error?.stack ?? error}`)
  process.on('unhandledRejection', rejected)
  try {
    await home.start()
    for (let left = 5 + random.below(25); left > 0; left--) {
      const step = random.pick(of)
      trace.push(step)
      await steps[step](home, random)
      await home.advance(random.pick(pauses))
    }
    peers?.calm()
    await home.end()
    for (const problem of peers?.problems() ?? []) home.report(problem)
  } catch (error) {
    home.report(`threw: ${error?.stack ?? error}`)
  } finally {
    process.off('unhandledRejection', rejected)
  }
  return { problems: home.problems(), trace }
}
