import { randomInt } from 'node:crypto'
import type { Family } from '@postern/interface'
import type { Target } from '../dial/targets.js'
import type { Pair } from '../dial/tcp-dial.js'
import type { PunchPort } from './punch-ports.js'

/** How many sockets one round opens. With several ports on both sides, every port is paired with every target. */
const maxPairs = 16

/**
 * Pairs local ports with targets of the same family: one to one if both sides have equally many, otherwise every port
 * with every target.
 */
export function pairsOf(ports: readonly PunchPort[], targets: readonly Target[]): readonly Pair[] {
  return ([4, 6] as const).flatMap((each) => ofFamily(ports, targets, each)).slice(0, maxPairs)
}

function ofFamily(ports: readonly PunchPort[], targets: readonly Target[], each: Family): readonly Pair[] {
  const from = ports.filter(({ external }) => external.family === each)
  const to = targets.filter(({ family }) => family === each)
  return from.flatMap(({ localPort }, index) =>
    (from.length === to.length ? to.slice(index, index + 1) : to).map((target) => ({ localPort, target }))
  )
}

/**
 * The number of sockets on the side of the symmetric NAT, and of guesses on the other side. With 1024 guesses at 256 of
 * 64,512 ports, at least one guess is right in 98 % of attempts.
 */
const birthdaySockets = 256
const birthdayGuesses = 1024
const firstPort = 1024
const lastPort = 65_535

/** Returns the pairs of the symmetric side: many local ports and one target. */
export const manyPorts = (target: Target): readonly Pair[] =>
  distinct(birthdaySockets, 32_768, lastPort).map((localPort) => ({ localPort, target }))

/** Returns the pairs of the other side: one local port and many ports of the same host. */
export const manyPlaces = ({ localPort }: PunchPort, { host, family }: Target): readonly Pair[] =>
  distinct(birthdayGuesses, firstPort, lastPort).map((port) => ({ localPort, target: { host, family, port } }))

function distinct(count: number, from: number, to: number): readonly number[] {
  const numbers = new Set<number>()
  while (numbers.size < count) numbers.add(randomInt(from, to + 1))
  return [...numbers]
}
