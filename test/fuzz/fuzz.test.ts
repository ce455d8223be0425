import { describe, expect, it } from 'vitest'
import { costMs, faultOf, fuzzDecoder } from '../../fuzz/decoders.mjs'
import { live, scenarios } from '../../fuzz/ladder/scenarios.mjs'
import { enlarge } from '../../fuzz/mutate.mjs'
import { randomOf } from '../../fuzz/random.mjs'
import { targets } from '../../fuzz/targets/index.mjs'

// The inputs are the same each time. `npm run fuzz` looks for others.
const seed = 20_000
interface Target {
  readonly name: string
  readonly corpus: readonly (string | Uint8Array)[]
  /** The size limit of the input; a million bytes if the parser has none. */
  readonly largest?: number
}
const all: readonly Target[] = targets
const small = 64_000
const large = 1_000_000

describe.each(all)('the parser $name', (target) => {
  it('the parser reads the messages of its corpus', () => {
    const faults = target.corpus.map((each) => faultOf(target, each, randomOf(seed)))
    expect(faults.filter((each) => each !== undefined)).toEqual([])
  })

  it('the parser returns a valid value or throws an error of its contract for hostile input', () => {
    expect(fuzzDecoder(target, { seed, runs: 400, isTimed: false }).failures).toEqual([])
  })

  it('the parser takes time that grows no faster than the input', () => {
    for (let round = 0; round < 6; round++) {
      const inputOf = (size: number): unknown => enlarge(randomOf(seed + round), target.corpus, size)
      const base = costMs(target, inputOf(small), 3)
      // A quadratic parser needs 240 times as long, a linear one 16 times. Very short times cannot be measured well.
      expect(costMs(target, inputOf(target.largest ?? large), 3)).toBeLessThan(Math.max(base, 2) * 64)
    }
  })
})

describe.each(scenarios)('a home with random %s', (scenario) => {
  it.each(Array.from({ length: 12 }, (_, index) => seed + index))(
    'keeps its promises: seed %i',
    async (each) => {
      const { problems } = await live(scenario, each)
      expect(problems).toEqual([])
    },
    60_000
  )
})
