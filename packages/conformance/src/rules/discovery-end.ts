import { equal, notEqual, ok } from 'node:assert/strict'
import { told } from '../asking.js'
import type { DiscoveryRule, OpenStage } from '../rule.js'
import type { Run, Stage } from '../stage.js'

/** Times of the abort: immediately, and before, during and after the first answers. */
const momentsMs = [0, 1, 3, 7, 12, 20, 50, 200, 1000, 10_000]
const realMomentsMs = [0, 1, 20]
/** The number of starts and stops, enough to find a leak that occurs once in ten times. */
const rounds = 100

/** Rules for the end of discover. */
export const discoveryEndRules: readonly DiscoveryRule[] = [
  {
    id: 'discover-aborted-before-does-nothing',
    name: 'discover with an aborted signal sends nothing and reports no finding',
    needs: ['requests'],
    async check(open) {
      const stage = await open()
      const discovery = await stage.create()
      await stage.pass(1000)
      const before = stage.world.requests?.()
      const run = await stage.discover({ discovery, signal: AbortSignal.abort() })
      await stage.pass(1000)
      equal(stage.world.requests?.(), before, 'requests were sent although the signal had aborted')
      equal(run.findings.length, 0, 'a finding was reported although the signal had aborted')
    }
  },
  {
    id: 'discover-finds-nothing-after-abort',
    name: 'discover reports no finding after the abort',
    async check(open) {
      await atEachMoment(open, async (stage, run) => {
        run.stop()
        const before = run.findings.length
        await stage.pass(stage.isVirtual ? 60_000 : 50)
        equal(run.findings.length, before, 'a finding was reported after the signal had aborted')
      })
    }
  },
  {
    id: 'discover-settles-on-abort',
    name: "discover settles within 500 ms of the abort: it resolves, or rejects with the signal's reason",
    async check(open) {
      await atEachMoment(open, async (stage, run) => {
        const reason = new Error('the test has had enough')
        run.stop(reason)
        const end = await stage.outcome(run.done, 500)
        notEqual(end.state, 'pending', 'discover has not settled 500 ms after the abort')
        // A discovery that had ended before has its own reason.
        if (end.state === 'rejected' && run.findings.length > 0)
          equal(end.reason, reason, `rejected with something else than the reason of the signal: ${told(end.reason)}`)
      })
    }
  },
  {
    id: 'discover-holds-no-socket-after-abort',
    name: 'discover leaves no socket after a hundred starts and stops',
    needs: ['openHandles'],
    async check(open) {
      const stage = await startAndStop(open)
      equal(stage.world.openHandles?.(), 0, 'sockets are left over')
    }
  },
  {
    id: 'discover-leaves-no-timer',
    name: 'discover leaves no timer after a hundred starts and stops',
    needs: ['sleepCount'],
    async check(open) {
      const stage = await startAndStop(open)
      equal(stage.world.clock.pending, 0, 'timers are left over')
    }
  },
  {
    id: 'uses-the-random-of-the-host',
    name: 'discover uses the random of the host and never Math.random',
    async check(open) {
      const stage = await open()
      let used = 0
      const real = Math.random
      Math.random = () => {
        used += 1
        return real()
      }
      try {
        const run = await stage.discover()
        const found = await stage.findIn(run, () => true)
        ok(found === undefined || used === 0, 'Math.random was used during discover')
      } finally {
        Math.random = real
      }
    }
  }
]

async function atEachMoment(open: OpenStage, check: (stage: Stage, run: Run) => Promise<void>): Promise<void> {
  const { isVirtual } = await open()
  for (const ms of isVirtual ? momentsMs : realMomentsMs) {
    const stage = await open()
    const run = await stage.discover()
    if (ms > 0) await stage.pass(ms)
    await check(stage, run)
  }
}

async function startAndStop(open: OpenStage): Promise<Stage> {
  const stage = await open()
  for (let round = 0; round < rounds; round += 1) {
    const run = await stage.discover()
    if (round % 3 > 0) await stage.pass(round % 3 === 1 ? 3 : 50)
    run.stop()
    await stage.outcome(run.done, 500)
  }
  await stage.pass(stage.isVirtual ? 1000 : 200)
  return stage
}
