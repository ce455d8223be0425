import type { World } from './subject.js'

/** What a test needs of the world. */
export type Need =
  | Exclude<keyof World, 'clock' | 'network' | 'faults' | 'close'>
  | keyof NonNullable<World['faults']>
  | 'virtualClock'
  | 'sleepCount'

/** What is said where it is missing. */
const reasons: Readonly<Record<Need, string>> = {
  mappings: 'the world does not tell what is mapped outside',
  requests: 'the world does not count requests',
  changes: 'the world does not count requests that change something',
  violations: 'the world does not watch the protocol',
  openHandles: 'the world does not count open handles',
  virtualClock: 'the clock is a real one',
  sleepCount: 'the clock does not count sleeps',
  silence: 'nothing in this world can fall silent',
  refuse: 'nothing in this world can refuse',
  occupy: 'no other host in this world can take a port',
  shorten: 'nothing in this world grants less than is asked for',
  slow: 'nothing in this world can be slow',
  reboot: 'nothing in this world can lose its mappings',
  move: 'the external address of this world does not change',
  address: 'the world has no address to try',
  tap: 'the world has no socket to lend',
  peerId: 'the world has no peer to get through to'
}

/** Why a test that needs this cannot run in the world; undefined if it can. */
export function missingIn(world: World, needed: readonly Need[] = []): string | undefined {
  const { clock, faults, network: _network, close: _close, ...seen } = world
  const there = new Set(Object.keys({ ...seen, ...faults }))
  if (clock.advance !== undefined) there.add('virtualClock')
  if (clock.pending !== undefined) there.add('sleepCount')
  const missing = needed.find((each) => !there.has(each))
  return missing === undefined ? undefined : reasons[missing]
}
