import type { World } from './subject.js'

/** What a test needs of the world, and what is said where it is missing. */
const needs = {
  mappings: { has: (world: World) => world.mappings, missing: 'the world does not tell what is mapped outside' },
  requests: { has: (world: World) => world.requests, missing: 'the world does not count requests' },
  changes: { has: (world: World) => world.changes, missing: 'the world does not count requests that change something' },
  violations: { has: (world: World) => world.violations, missing: 'the world does not watch the protocol' },
  openHandles: { has: (world: World) => world.openHandles, missing: 'the world does not count open handles' },
  virtualClock: { has: (world: World) => world.clock.advance, missing: 'the clock is a real one' },
  sleepCount: { has: (world: World) => world.clock.pending, missing: 'the clock does not count sleeps' },
  silence: { has: (world: World) => world.faults?.silence, missing: 'nothing in this world can fall silent' },
  refuse: { has: (world: World) => world.faults?.refuse, missing: 'nothing in this world can refuse' },
  occupy: { has: (world: World) => world.faults?.occupy, missing: 'no other host in this world can take a port' },
  reboot: { has: (world: World) => world.faults?.reboot, missing: 'nothing in this world can lose its mappings' },
  move: { has: (world: World) => world.faults?.move, missing: 'the external address of this world does not change' },
  address: { has: (world: World) => world.address, missing: 'the world has no address to try' },
  tap: { has: (world: World) => world.tap, missing: 'the world has no socket to lend' },
  peerId: { has: (world: World) => world.peerId, missing: 'the world has no peer to get through to' }
} as const

export type Need = keyof typeof needs

/** Why a test that needs this cannot run in the world; undefined if it can. */
export const missingIn = (world: World, needed: readonly Need[] = []): string | undefined => {
  const need = needed.find((each) => needs[each].has(world) === undefined)
  return need === undefined ? undefined : needs[need].missing
}
