import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { mapperOf, mappingsOf, requestFor, told } from '../asking.js'
import { type AbortedMap, abortedMaps } from '../moments.js'
import type { AbilityRule, OpenStage } from '../rule.js'
import type { Outcome } from '../stage.js'
import type { Target } from '../target.js'

const abilities = ['mapper'] as const
/** The contract requires that an aborted map is undone within 500 ms. */
const undoMs = 500

/** Rules for an aborted `map`: aborted before the call, and at any time until the answer. */
export const abortRules: readonly AbilityRule[] = [
  {
    id: 'map-aborted-before-sends-nothing',
    name: 'map sends nothing if its signal has already aborted',
    abilities,
    needs: ['requests'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      // Requests of the discovery do not count.
      const before = stage.world.changes?.() ?? stage.world.requests?.()
      const signal = AbortSignal.abort(new Error('before it began'))
      await stage.outcome(mapper.map(requestFor(stage, mapper), { signal }))
      await stage.pass(stage.isVirtual ? 1000 : 100)
      equal(
        stage.world.changes?.() ?? stage.world.requests?.(),
        before,
        'requests were sent although the signal had aborted'
      )
    }
  },
  {
    id: 'abort-rejects-map',
    name: 'map rejects whenever it is aborted',
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const before = await stage.outcome(mapper.map(requestFor(stage, mapper), { signal: AbortSignal.abort() }))
      equal(before.state, 'rejected', 'a map that was aborted before the call')
      await eachMoment(open, target, ({ outcome, isLate, when }) => {
        notEqual(outcome.state, 'pending', `still not settled after 10 s: ${when}`)
        ok(isLate || outcome.state === 'rejected', `granted although it was ${when}`)
      })
    }
  },
  {
    id: 'abort-keeps-the-reason',
    name: "an aborted map rejects with the signal's reason",
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const early = new Error('before it began')
      const before = await stage.outcome(mapper.map(requestFor(stage, mapper), { signal: AbortSignal.abort(early) }))
      if (before.state === 'rejected') equal(before.reason, early, `another reason: ${told(before.reason)}`)
      await eachMoment(open, target, ({ outcome, reason, when }) => {
        if (outcome.state === 'rejected')
          equal(outcome.reason, reason, `${when}, and rejected with ${told(outcome.reason)}`)
      })
    }
  },
  {
    id: 'abort-undoes-map',
    name: 'an aborted map leaves no mapping',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      await eachMoment(open, target, async ({ stage, request, outcome, abortedAtMs, isLate, isMappedElse, when }) => {
        // Requests that were already sent may still arrive.
        const untilMs = stage.isVirtual ? Math.max(1, abortedAtMs + undoMs - stage.host.clock.monotonicMs()) : 50
        await stage.pass(untilMs)
        // A strategy that maps nothing at all fails another test.
        if (!isMappedElse || (isLate && outcome.state === 'fulfilled')) return
        deepEqual(mappingsOf(stage, request), [], `a mapping is left ${undoMs} ms after the map was ${when}`)
      })
    }
  },
  {
    id: 'abort-undoes-in-time',
    name: 'an aborted map settles within 500 ms',
    abilities,
    async check(open, target) {
      await eachMoment(open, target, ({ outcome, abortedAtMs, when }) => {
        if (outcome.state === 'pending') return
        const tookMs = outcome.atMs - abortedAtMs
        ok(tookMs <= undoMs, `settled only ${tookMs} ms later: ${when}`)
      })
    }
  },
  {
    id: 'abort-undoes-in-silence',
    name: 'an aborted map settles within 500 ms if the router has fallen silent',
    abilities,
    needs: ['silence'],
    async check(open, target) {
      const abortAfter = async (ms: number, isSilent: boolean): Promise<Outcome<unknown>['state'] | 'left'> => {
        const stage = await open()
        const mapper = await mapperOf(stage, target)
        if (isSilent) await stage.world.faults?.silence?.()
        const controller = new AbortController()
        const request = requestFor(stage, mapper)
        const pending = mapper.map(request, { signal: controller.signal })
        pending.catch(() => undefined)
        await stage.pass(ms)
        controller.abort(new Error('the test has had enough'))
        const { state } = await stage.outcome(pending, undoMs)
        return mappingsOf(stage, request).length > 0 ? 'left' : state
      }
      // A strategy that does not undo in time while the router answers fails another test.
      if ((await abortAfter(1, false)) !== 'rejected') return
      equal(await abortAfter(1000, true), 'rejected', 'the state of a map 500 ms after its abort, with a silent router')
    }
  }
]

async function eachMoment(
  open: OpenStage,
  target: Target,
  check: (aborted: AbortedMap) => void | Promise<void>
): Promise<void> {
  for await (const aborted of abortedMaps(open, target)) await check(aborted)
}
