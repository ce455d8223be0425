import { deepEqual, equal, fail, ok } from 'node:assert/strict'
import { isNatError } from '@postern/interface'
import { call, granted, mapped, mappingsOf, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const

/** Rules for `release`. */
export const releaseRules: readonly AbilityRule[] = [
  {
    id: 'release-removes-the-rule',
    name: 'release removes the mapping',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      await stage.outcome(lease.release(call()))
      deepEqual(mappingsOf(stage, request), [], 'the mappings after release')
    }
  },
  {
    id: 'release-twice-is-once',
    name: 'release is idempotent, also concurrently, and leaves later mappings of the same endpoint',
    abilities: ['mapper', 'relay', 'forwarder'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      const both = await stage.outcome(Promise.all([lease.release(call()), lease.release(call())]))
      if (both.state === 'rejected') fail(`cannot be released twice concurrently: ${told(both.reason)}`)
      const again = await granted(stage, target)
      const control = await granted(stage, target, { port: 9090 })
      const mappings = ({ request }: typeof again): number =>
        request === undefined ? 0 : mappingsOf(stage, request).length
      const before = [mappings(again), mappings(control)]
      const outcome = await stage.outcome(lease.release(call()))
      if (outcome.state === 'rejected') fail(`cannot be released twice: ${told(outcome.reason)}`)
      // A strategy that removes all mappings fails another test.
      if (mappings(control) === before[1])
        equal(mappings(again), before[0], 'the second release removed a mapping that was granted after the first')
    }
  },
  {
    id: 'release-leaves-no-timer',
    name: 'release leaves no timer',
    abilities: ['mapper', 'relay', 'forwarder'],
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
    name: 'release rejects with a code of the registry for a failure of the network',
    abilities: ['mapper', 'relay', 'forwarder'],
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
    name: 'release can be called again after an abort, and then removes the mapping',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const releases = async (...signals: readonly AbortSignal[]): Promise<boolean> => {
        const stage = await open()
        const { lease, request } = await mapped(stage, target)
        for (const signal of signals) await stage.outcome(lease.release({ signal }))
        return mappingsOf(stage, request).length === 0
      }
      // A lease that cannot be released at all fails another test.
      if (!(await releases(call().signal))) return
      ok(
        await releases(AbortSignal.abort(), call().signal),
        'the mapping is left after an aborted release and a second one'
      )
    }
  },
  {
    id: 'abort-rejects-release',
    name: "an aborted release rejects with the signal's reason within 500 ms",
    abilities: ['mapper', 'relay', 'forwarder'],
    needs: ['silence'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.world.faults?.silence?.()
      const controller = new AbortController()
      const pending = lease.release({ signal: controller.signal })
      // A release without a request is done before it can be aborted.
      if ((await stage.outcome(pending, 100)).state === 'fulfilled') return
      const reason = new Error('the test has had enough')
      controller.abort(reason)
      const outcome = await stage.outcome(pending, 500)
      equal(outcome.state, 'rejected', 'the state of the release 500 ms after its abort')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
    }
  }
]
