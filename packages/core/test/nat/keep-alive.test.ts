import { type Endpoint, type MultiaddrText, natError, type Observer, type Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { begin, end, home, party, type Stage, stage, witnesses } from '../support.js'

const game: Endpoint = { protocol: 'udp', family: 4, address: '0.0.0.0', port: 6000 }
const seen = '/ip4/11.0.0.2/udp/21000'

interface Kept extends Stage {
  /** When a request was sent to keep the mapping, in seconds. */
  readonly sent: readonly number[]
  /** How often the observers were asked for the address. */
  readonly observed: () => number
  answer: MultiaddrText | undefined
  reach(outcome: 'reachable' | 'unreachable'): void
}

/** Sets up a traversal with a UDP socket, two STUN servers and two witnesses on other networks. */
function setUp(lifetimeMs: number | undefined, measure?: () => Promise<number>): Kept {
  const clock = virtualClock()
  const sent: number[] = []
  let observed = 0
  const answers: Record<string, 'reachable' | 'unreachable'> = {
    a: 'reachable',
    b: 'reachable',
    c: 'reachable',
    d: 'reachable'
  }
  const observers: Strategy = () => ({
    name: 'stun',
    kind: 'observer',
    async discover(_network, found, call) {
      for (const index of [0, 1]) {
        const observer: Observer = {
          kind: 'observer',
          party: party(`stun${index}`, `${20 + index}.0.0.0/16`),
          async observe() {
            observed++
            return { address: kept.answer ?? seen }
          },
          async refresh() {
            sent.push(Math.round(clock.monotonicMs() / 1000))
            if (kept.answer === undefined) throw natError('NO_REPLY', 'silence')
            return kept.answer
          },
          async lifetimeMs(_, each) {
            if (measure !== undefined) return measure()
            await clock.sleep(60_000, each)
            if (lifetimeMs === undefined) throw natError('UNSUPPORTED', 'no other port')
            return lifetimeMs
          }
        }
        found(observer)
      }
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })
  const each = stage(() => [observers, witnesses(answers, clock)], { clock })
  each.traversal.shareSocket(() => ({
    endpoint: { ...game, address: '192.168.1.2' },
    send: () => undefined,
    receive: () => undefined
  }))
  each.traversal.addEndpoint(game)
  const kept: Kept = {
    ...each,
    sent,
    observed: () => observed,
    answer: seen,
    reach(outcome) {
      for (const id of Object.keys(answers)) answers[id] = outcome
    }
  }
  return kept
}

const externals = ({ traversal }: Stage): readonly string[] => traversal.report().externalAddresses

describe('keeping the mapping of a socket alive', () => {
  it('a verified socket is kept alive every 15 s where the lifetime is not known', async () => {
    const each = setUp(undefined)
    await begin(each, 100_000)
    expect(externals(each)).toContain(seen)
    expect(each.sent).toEqual([15, 30, 45, 60, 75, 90])
    await end(each)
    const { length } = each.sent
    await each.clock.advance(100_000)
    expect(each.sent).toHaveLength(length)
    expect(each.clock.pending).toBe(0)
  })

  it('a verified socket is kept alive at two fifths of the measured lifetime', async () => {
    const each = setUp(100_000)
    await begin(each, 240_000)
    expect(each.sent.filter((at) => at > 80)).toEqual([100, 140, 180, 220])
    await end(each)
  })

  it.each([
    ['never ends', async () => new Promise<number>(() => undefined)],
    ['is no number', async () => Number.NaN],
    [
      'throws',
      () => {
        throw new Error('a fault')
      }
    ]
  ])('a measurement that %s changes nothing, and does not delay stop()', async (_, lifetimeMs) => {
    const each = setUp(undefined, lifetimeMs)
    await begin(each, 100_000)
    expect(each.sent).toEqual([15, 30, 45, 60, 75, 90])
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('an address that witnesses do not reach is not kept alive', async () => {
    const each = setUp(undefined)
    each.reach('unreachable')
    await begin(each, 100_000)
    expect(externals(each)).toEqual([])
    expect(each.sent).toEqual([])
    await end(each)
  })

  it('a change of the IPv6 network leaves a kept IPv4 socket, and the line of its servers, as they are', async () => {
    const each = setUp(undefined)
    await begin(each, 20_000)
    const line = (): unknown => each.traversal.report().strategies.find(({ name }) => name === 'stun')
    const [before, asked] = [line(), each.observed()]
    each.traversal.setNetwork({ ...home, addresses: [...home.addresses, '2a00:1::2'] })
    await each.clock.advance(60_000)
    expect(each.told().filter((event) => event.startsWith('lost'))).toEqual([])
    expect(each.sent).toEqual([15, 30, 45, 60, 75])
    expect([{ ...Object(line()), tookMs: 0 }, each.observed()]).toEqual([{ ...Object(before), tookMs: 0 }, asked])
    await end(each)
  })

  it('an address is withdrawn at once when a server sees the socket at another one', async () => {
    const each = setUp(undefined)
    await begin(each, 20_000)
    each.answer = '/ip4/11.0.0.2/udp/22000'
    await each.clock.advance(12_000)
    expect(each.told()).toContain('lost stun 11.0.0.2:21000')
    expect(externals(each)).not.toContain(seen)
    expect(externals(each)).toContain('/ip4/11.0.0.2/udp/22000')
    await end(each)
  })

  it('an address is withdrawn when three requests in a row get no answer', async () => {
    const each = setUp(undefined)
    await begin(each, 20_000)
    const before = each.observed()
    each.answer = undefined
    await each.clock.advance(30_000)
    expect(externals(each)).toContain(seen)
    each.reach('unreachable')
    await each.clock.advance(20_000)
    expect(each.told()).toContain('lost stun 11.0.0.2:21000')
    expect(externals(each)).toEqual([])
    expect(each.observed()).toBeGreaterThan(before)
    await end(each)
  })
})
