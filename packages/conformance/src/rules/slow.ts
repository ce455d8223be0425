import { deepEqual, notEqual } from 'node:assert/strict'
import { call, leaseFrom, mapped, mapperOf, mappingsOf, requestFor } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const
/** The delay of each answer. A router that answers within 10 s counts as slow, not as absent. */
const answerMs = 9500
/** Time limit of a verb, which may need a dozen such answers. */
const verbMs = 120_000

/** Rules for slow routers, and for `undo`. */
export const slowRules: readonly AbilityRule[] = [
  {
    id: 'map-waits-for-a-slow-router',
    name: 'map succeeds with a router that takes 9.5 s for each answer',
    abilities,
    needs: ['slow', 'virtualClock'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      await stage.world.faults?.slow?.(answerMs)
      await leaseFrom(stage, mapper.map(requestFor(stage, mapper), call()), verbMs)
    }
  },
  {
    id: 'undo-deletes-what-map-made',
    name: 'undo deletes the mapping of the request, or rejects',
    abilities,
    needs: ['mappings'],
    exempt: ({ undoes }) =>
      undoes === false ? 'the mapper has no undo, since its map undoes everything itself' : undefined,
    async check(open, target) {
      const stage = await open()
      const { mapper } = await mapped(stage, target)
      // At the second undo, no mapping is left.
      for (const what of ['an existing mapping', 'a deleted mapping']) {
        const request = requestFor(stage, mapper)
        const { state } = await stage.outcome(Promise.resolve(mapper.undo?.(request, call())))
        notEqual(state, 'pending', `undoing ${what} takes longer than 10 s`)
        if (state === 'fulfilled') deepEqual(mappingsOf(stage, request), [], `still mapped after undoing ${what}`)
      }
    }
  }
]
