import type { World } from './subject.js'

/** A feature of the world that a test needs. */
export type Need =
  | Exclude<keyof World, 'clock' | 'network' | 'faults' | 'close'>
  | keyof NonNullable<World['faults']>
  | 'virtualClock'
  | 'sleepCount'

/** The reason to skip a test if the feature is missing. */
const reasons: Readonly<Record<Need, string>> = {
  mappings: 'the world does not list the mappings of the gateway',
  requests: 'the world does not count requests',
  changes: 'the world does not count requests that change mappings',
  violations: 'the world does not check the protocol',
  openHandles: 'the world does not count open handles',
  virtualClock: 'the clock is not virtual',
  sleepCount: 'the clock does not count sleeps',
  silence: 'the gateway of this world cannot fall silent',
  refuse: 'the gateway of this world cannot refuse',
  occupy: 'there is no other host in this world that could take a port',
  shorten: 'the gateway of this world cannot grant shorter lifetimes',
  slow: 'the gateway of this world cannot be slow',
  reboot: 'the gateway of this world cannot lose its mappings',
  move: 'the external address of this world does not change',
  address: 'the world has no address to verify',
  tap: 'the world has no socket to lend',
  endpoint: 'the world has no listening endpoint',
  otherEndpoint: 'the world has no second listening endpoint',
  exchange: 'the world has no client outside',
  cut: 'the forwarder of this world does not end its connections',
  misdirect: 'the ports of the forwarder of this world always lead here',
  peerId: 'the world has no peer for an upgrade'
}

/** Returns why a test with these needs cannot run in the world; undefined if it can. */
export function missingIn(world: World, needed: readonly Need[] = []): string | undefined {
  const { clock, faults, network: _network, close: _close, ...seen } = world
  const there = new Set(Object.keys({ ...seen, ...faults }))
  if (clock.advance !== undefined) there.add('virtualClock')
  if (clock.pending !== undefined) there.add('sleepCount')
  const missing = needed.find((each) => !there.has(each))
  return missing === undefined ? undefined : reasons[missing]
}
