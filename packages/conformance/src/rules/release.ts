import { deepEqual, equal, fail, ok } from 'node:assert/strict'
import { isNatError } from '@postern/interface'
import { call, granted, leaseFrom, mapped, mapperOf, mappingsOf, requestFor, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const

/** What `release` does. */
export const releaseRules: readonly AbilityRule[] = [
  {
    id: 'release-removes-the-rule',
    name: 'what was granted is no longer mapped after release',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      await stage.outcome(lease.release(call()))
      deepEqual(mappingsOf(stage, request), [], 'what is mapped after release')
    }
  },
  {
    id: 'release-twice-is-once',
    name: 'releasing twice, also at once, is releasing once: what was granted since stays',
    abilities: ['mapper', 'relay'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      const both = await stage.outcome(Promise.all([lease.release(call()), lease.release(call())]))
      if (both.state === 'rejected') fail(`cannot be released twice at once: ${told(both.reason)}`)
      const again = await granted(stage, target)
      const before = again.request === undefined ? [] : mappingsOf(stage, again.request)
      const outcome = await stage.outcome(lease.release(call()))
      if (outcome.state === 'rejected') fail(`cannot be released twice: ${told(outcome.reason)}`)
      if (again.request !== undefined)
        equal(mappingsOf(stage, again.request).length, before.length, 'the second release removed what is not its own')
    }
  },
  {
    id: 'release-leaves-no-timer',
    name: 'no timer is left behind by a release',
    abilities: ['mapper', 'relay'],
    needs: ['sleepCount'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.pass(1000)
      const before = stage.world.clock.pending ?? 0
      await stage.outcome(lease.release(call()))
      await stage.pass(1000)
      const after = stage.world.clock.pending ?? 0
      ok(after <= before, `${before} timers before the release and ${after} after it`)
    }
  },
  {
    id: 'release-rejects-with-nat-error',
    name: 'what the network does to a release is told with a code of the registry',
    abilities: ['mapper', 'relay'],
    needs: ['refuse'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.world.faults?.refuse?.()
      const outcome = await stage.outcome(lease.release(call()), 300_000)
      if (outcome.state === 'rejected')
        ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'release-can-be-tried-again',
    name: 'a release that was aborted can be called again, and then removes the mapping',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      const lease = await leaseFrom(stage, mapper.map(request, call()))
      const first = await stage.outcome(lease.release({ signal: AbortSignal.abort() }))
      const second = await stage.outcome(lease.release(call()))
      if (first.state !== 'rejected' || second.state !== 'fulfilled') return
      const wasReleased = mappingsOf(stage, request).length === 0
      ok(wasReleased, 'the aborted release was taken for done: still mapped')
    }
  },
  {
    id: 'abort-rejects-release',
    name: 'an aborted release rejects with the reason of the signal within 500 ms',
    abilities: ['mapper', 'relay'],
    needs: ['silence'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.world.faults?.silence?.()
      const controller = new AbortController()
      const pending = lease.release({ signal: controller.signal })
      pending.catch(() => undefined)
      await stage.pass(100)
      const reason = new Error('the test has had enough')
      controller.abort(reason)
      const outcome = await stage.outcome(pending, 500)
      equal(outcome.state, 'rejected', 'the release 500 ms after it was aborted')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
    }
  }
]
