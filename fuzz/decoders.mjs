import { isNatError } from '@postern/interface'
import { enlarge, mutate } from './mutate.mjs'
import { randomOf } from './random.mjs'

/** The CPU time that an input of a million bytes may cost, in ms. */
export const limitMs = 50

/** How each kind of parser refuses. */
export const refusals = {
  /** Input from the network. */
  network: (error) => isNatError(error),
  /** Input from the user or the program. */
  usage: (error) => error instanceof TypeError,
  /** The value of an option of the command line. */
  commandLine: (error) => error instanceof Error && String(error.code).startsWith('commander.'),
  /** The content of a file. */
  file: (error) => error instanceof Error,
  never: () => false
}

/** Returns the input of a seed. One in 200 is as large as the limit, and must be refused or read within {@link
 * limitMs}. */
export function inputOf(target, seed) {
  const random = randomOf(seed)
  const isLarge = random.chance(1 / 200)
  return { input: isLarge ? enlarge(random, target.corpus, target.largest) : mutate(random, target.corpus), random }
}

/** Returns what is wrong with how a target handles an input, in words; undefined if nothing is. */
export function faultOf(target, input, random) {
  let value
  try {
    value = target.run(input, random)
  } catch (error) {
    if (target.refuses(error, input)) return undefined
    return `threw ${error instanceof Error ? `${error.name}: ${error.message.slice(0, 200)}` : String(error)}`
  }
  return target.accepts(value, input) ? undefined : `gave a value of the wrong shape: ${describe(value)}`
}

/** Runs a target with the inputs of this many seeds. `isOver` ends it early, between two inputs. */
export function fuzzDecoder(target, { seed, runs, isOver = () => false, isTimed = true }) {
  const failures = []
  let slowest = { ms: 0, length: 0, seed }
  let done = 0
  for (; done < runs && !isOver(); done++) {
    const own = (seed + done) >>> 0
    const { input, random } = inputOf(target, own)
    const before = cpuMs()
    const fault = faultOf(target, input, random)
    const ms = cpuMs() - before
    if (fault !== undefined) failures.push({ target: target.name, seed: own, what: fault })
    if (!isTimed || ms <= slowest.ms) continue
    // The first run also measures the compiler and earlier garbage.
    const best = ms > limitMs / 2 ? costMs(target, input, 3) : ms
    if (best > slowest.ms) slowest = { ms: best, length: input.length, seed: own }
    if (best > limitMs)
      failures.push({ target: target.name, seed: own, what: `took ${best.toFixed(0)} ms for ${input.length} bytes` })
  }
  return { runs: done, slowest, failures }
}

/** Returns the minimum CPU time of an input over this many rounds, in ms. */
export function costMs(target, input, rounds) {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const random = randomOf(round)
    const before = cpuMs()
    faultOf(target, input, random)
    best = Math.min(best, cpuMs() - before)
  }
  return best
}

/** CPU time and not clock time, so that other programs on the machine do not count. */
function cpuMs() {
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage()
  return (user + system) / 1000
}

function describe(value) {
  try {
    return JSON.stringify(value ?? null, (_, each) => (typeof each === 'bigint' ? String(each) : each)).slice(0, 200)
  } catch {
    return typeof value
  }
}
