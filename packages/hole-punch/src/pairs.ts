import { randomInt } from 'node:crypto'
import type { Family } from '@postern/interface'
import type { PunchPort } from './ports.js'
import type { Pair } from './sockets.js'
import type { Target } from './targets.js'

/** Sockets that one round may open. */
const mostPairs = 16

/** Which port dials which place: one each where both sides have as many, everyone with everyone where not. */
export function pairsOf(ports: readonly PunchPort[], targets: readonly Target[]): readonly Pair[] {
  return ([4, 6] as const).flatMap((each) => ofFamily(ports, targets, each)).slice(0, mostPairs)
}

function ofFamily(ports: readonly PunchPort[], targets: readonly Target[], each: Family): readonly Pair[] {
  const from = ports.filter(({ external }) => external.family === each)
  const to = targets.filter(({ family }) => family === each)
  return from.flatMap(({ localPort }, index) =>
    (from.length === to.length ? to.slice(index, index + 1) : to).map((target) => ({ localPort, target }))
  )
}

/** So many sockets on the side whose NAT takes another port for each, and so many guesses on the other: with a thousand
 * guesses at 256 of 64,512 ports, one of them hits in 98 of 100 attempts. */
const birthdaySockets = 256
const birthdayGuesses = 1024
const firstPort = 1024
const lastPort = 65_535

/** The symmetric side: many ports, one place. */
export const manyPorts = (target: Target): readonly Pair[] =>
  distinct(birthdaySockets, 32_768, lastPort).map((localPort) => ({ localPort, target }))

/** The other side: one port, many places on the same host. */
export const manyPlaces = ({ localPort }: PunchPort, { host, family }: Target): readonly Pair[] =>
  distinct(birthdayGuesses, firstPort, lastPort).map((port) => ({ localPort, target: { host, family, port } }))

function distinct(count: number, from: number, to: number): readonly number[] {
  const numbers = new Set<number>()
  while (numbers.size < count) numbers.add(randomInt(from, to + 1))
  return [...numbers]
}
