import { defaultPolicy } from '@postern/core'
import { virtualClock } from '@postern/testkit'
import { expect } from 'vitest'
import { day, type Gap, type Home, type HomeOptions, hour, openHome, second } from './home.js'

/**
 * How long a mapping may be gone after a reboot, counted from the moment at which its router is back.
 *
 * - If its announcement was received, from then on: the strategy checks it, up to 2 s. The ladder waits 0.5 s for further
 *   announcements, and up to 5 s because the RFCs require it (RFC 6886 §3.7, RFC 6887 §14.1.3). The renewal takes up to
 *   2 s. Of a thousand attempts one or two lose all their datagrams, and are repeated after 4 s.
 * - If it was not received: until the next request to the router, with the same attempts. A host that asked while the
 *   router was down asks again sooner.
 */
const attemptsMs = (2 + 4 + 2) * second
const heardBoundMs = (2 + 0.5 + 5) * second + attemptsMs

const boundOf = ({ heardMs }: Gap, recheckIntervalMs: number): number =>
  heardMs === undefined ? recheckIntervalMs + heardBoundMs : heardMs + heardBoundMs

/** Homes on one clock. They have nothing in common, and a thousand on one clock take twice the time, because of the
 * processor's cache. */
const street = 20

/** Polls every 15 min take four requests for every one that these homes need, and minutes of real time. So most homes
 * poll each hour, and one in twenty as in the default policy. Two endpoints are polled in turn: with a poll each hour,
 * their renewals follow the schedule. */
const rarely = { recheckIntervalMs: hour }

export interface Month {
  readonly homes: number
  readonly protocol: HomeOptions['protocol']
  readonly strategy: HomeOptions['strategy']
}

interface Lived {
  readonly gaps: readonly Gap[]
  readonly renewals: number
}

/** Runs 30 days on the virtual clock. No mapping may be gone for longer than the protocols force. */
export async function liveThrough({ homes: count, protocol, strategy }: Month): Promise<void> {
  const lived: Lived[] = []
  for (let first = 0; first < count; first += street) {
    const options = Array.from(
      { length: Math.min(street, count - first) },
      (_, index): HomeOptions => ({
        protocol,
        strategy,
        seed: first + index + 1,
        // One home in ten has two endpoints.
        wants: index % 10 === 0 ? 2 : 1,
        policy: index % 20 === 0 ? {} : rarely,
        rebootEveryMs: 10 * day
      })
    )
    lived.push(await liveInStreet(options))
  }
  // Check that something happened in this month.
  const gaps = lived.flatMap((each) => each.gaps)
  const heard = gaps.filter(({ heardMs }) => heardMs !== undefined).length / gaps.length
  expect(lived.reduce((sum, { renewals }) => sum + renewals, 0)).toBeGreaterThan((count * 30 * day) / hour - count)
  expect(gaps.length).toBeGreaterThan(2 * count)
  expect(heard).toBeGreaterThan(0.5)
  expect(heard).toBeLessThan(0.9)
}

async function liveInStreet(options: readonly HomeOptions[]): Promise<Lived> {
  const clock = virtualClock()
  const homes = await Promise.all(options.map((each) => openHome(clock, each)))
  for (let passed = 0; passed < 30 * day; passed += 6 * hour) {
    await clock.advance(6 * hour)
    expect(homes.filter((each) => !each.isWhole())).toHaveLength(0)
  }
  const lived = {
    gaps: homes.flatMap((each) => each.gaps()),
    renewals: homes.reduce((sum, each) => sum + each.renewals(), 0)
  }
  for (const [index, each] of options.entries()) check(homes[index], each)

  const stopped = Promise.all(homes.map((each) => each.stop()))
  await clock.advance(10 * second)
  await stopped
  expect(clock.pending).toBe(0)
  expect(homes.filter((each) => each.leftOver() > 0)).toHaveLength(0)
  return lived
}

function check(home: Home | undefined, { policy, wants }: HomeOptions): void {
  if (home === undefined) throw new TypeError('there is no such home')
  const { recheckIntervalMs = defaultPolicy.recheckIntervalMs } = policy
  expect(home.lapses()).toBe(0)
  expect(home.gateway.violations).toEqual([])
  expect(home.gaps().filter((gap) => gap.ms > boundOf(gap, recheckIntervalMs))).toEqual([])
  // The router made each mapping once, and once more after each reboot: each renewal found its mapping.
  const { pcp, 'nat-pmp': natPmp, control } = home.gateway.counters
  expect(pcp.maps + natPmp.maps + control.maps).toBeLessThanOrEqual(wants * (1 + home.reboots()))
}
