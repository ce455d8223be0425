import { deepEqual, notEqual } from 'node:assert/strict'
import { call, leaseFrom, mapped, mapperOf, mappingsOf, requestFor } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const
/** A router that takes 10 s for an answer is a slow one, not an absent one. */
const answerMs = 9500
/** A verb may take a dozen such answers. */
const verbMs = 120_000

/** What a mapper does where the router takes seconds for each answer. */
export const slowRules: readonly AbilityRule[] = [
  {
    id: 'map-waits-for-a-slow-router',
    name: 'a router that takes 9.5 s for each answer is mapped',
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
    name: 'undo deletes what a map of the request has made, or says why not',
    abilities,
    needs: ['mappings'],
    exempt: ({ undoes }) => (undoes === false ? 'it has no undo: its map is trusted to undo all' : undefined),
    async check(open, target) {
      const stage = await open()
      const { mapper } = await mapped(stage, target)
      // Nothing is left of the first time at the second.
      for (const what of ['what was mapped', 'what is gone already']) {
        const request = requestFor(stage, mapper)
        const { state } = await stage.outcome(Promise.resolve(mapper.undo?.(request, call())))
        notEqual(state, 'pending', `undoing ${what} takes longer than 10 s`)
        if (state === 'fulfilled') deepEqual(mappingsOf(stage, request), [], `still mapped after undoing ${what}`)
      }
    }
  }
]
