import { defaultPolicy } from '@postern/core'
import { virtualClock } from '@postern/testkit'
import { expect } from 'vitest'
import { day, type Gap, type Home, type HomeOptions, hour, openHome, second } from './home.js'

/**
 * How long a mapping may be gone after a reboot, counted from the moment at which its router is back.
 *
 * - Where the router was heard to say so, from then: it is asked whether that is true, up to 2 s; the ladder waits 0.5 s
 *   for more of the same, and up to 5 s because the RFCs want it (RFC 6886 §3.7, RFC 6887 §14.1.3); the renewal takes up
 *   to 2 s. Of a thousand attempts one or two lose all their datagrams, and are repeated after 4 s.
 * - Where it was not heard: until the router is asked the next time, with the same attempts. Whoever has asked while it
 *   was down asks again sooner.
 */
const attemptsMs = (2 + 4 + 2) * second
const heardBoundMs = (2 + 0.5 + 5) * second + attemptsMs

const boundOf = ({ heardMs }: Gap, pollMs: number): number =>
  heardMs === undefined ? pollMs + heardBoundMs : heardMs + heardBoundMs

/** Homes on one clock. They have nothing in common, and a thousand on one clock take twice the time: what the processor
 * has at hand is then always that of another one. */
const street = 20

/** Polls every 15 min are four requests where these need one, and minutes of real time: most homes poll each hour, and one
 * in twenty as the default policy has it. Where there are two endpoints, they are asked about in turn: each hour, that
 * leaves the renewals to their schedule. */
const rarely = { pollMs: hour }

export interface Month {
  readonly homes: number
  readonly protocol: HomeOptions['protocol']
  readonly strategy: HomeOptions['strategy']
}

interface Lived {
  readonly gaps: readonly Gap[]
  readonly renewals: number
}

/** 30 days, on the virtual clock. No mapping may be gone for longer than the protocols force. */
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
  // It was a month in which something happened.
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
  if (home === undefined) throw new TypeError('nobody lives there')
  const { pollMs = defaultPolicy.pollMs } = policy
  expect(home.lapses()).toBe(0)
  expect(home.gateway.violations).toEqual([])
  expect(home.gaps().filter((gap) => gap.ms > boundOf(gap, pollMs))).toEqual([])
  // The router made each mapping once, and once more after each reboot: at a renewal it was always there.
  const { pcp, 'nat-pmp': natPmp, control } = home.gateway.counters
  expect(pcp.maps + natPmp.maps + control.maps).toBeLessThanOrEqual(wants * (1 + home.reboots()))
}
