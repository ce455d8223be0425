import { isNatError } from '@postern/interface'
import { enlarge, mutate } from './mutate.mjs'
import { randomOf } from './random.mjs'

/** What an input of a million bytes may cost, in ms of the processor. */
export const limitMs = 50

/** How each kind of parser says no. */
export const refusals = {
  /** What came from the network. */
  network: (error) => isNatError(error),
  /** What the user or the program wrote. */
  usage: (error) => error instanceof TypeError,
  /** What an option of the command line says. */
  commandLine: (error) => error instanceof Error && String(error.code).startsWith('commander.'),
  /** What a file holds. */
  file: (error) => error instanceof Error,
  never: () => false
}

/** The input that belongs to a seed. One in 200 is as large as what is refused or read within {@link limitMs}. */
export function inputOf(target, seed) {
  const random = randomOf(seed)
  const isLarge = random.chance(1 / 200)
  return { input: isLarge ? enlarge(random, target.corpus, target.largest) : mutate(random, target.corpus), random }
}

/** What is wrong with how a target takes an input, in words; undefined where nothing is. */
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

/** Runs a target with the inputs of so many seeds. `isOver` ends it before, between two inputs. */
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
    // The first time is that of the compiler and of the garbage of others as well.
    const best = ms > limitMs / 2 ? costMs(target, input, 3) : ms
    if (best > slowest.ms) slowest = { ms: best, length: input.length, seed: own }
    if (best > limitMs)
      failures.push({ target: target.name, seed: own, what: `took ${best.toFixed(0)} ms for ${input.length} bytes` })
  }
  return { runs: done, slowest, failures }
}

/** The least time of the processor that an input took in so many rounds, in ms. */
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

/** Time of the processor and not of the clock: other programs on the machine do not count. */
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
