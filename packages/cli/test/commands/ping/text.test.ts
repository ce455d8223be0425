import pc from 'picocolors'
import { expect, it } from 'vitest'
import type { Pinged } from '../../../src/commands/ping/pings.js'
import { type Circumstances, describePinged, describeSummary, summarize } from '../../../src/commands/ping/text.js'

const colors = pc.createColors(false)
const relay = '/ip4/21.0.0.1/tcp/4001/p2p/r'
const relayed = (rttMs: number): Pinged => ({ event: 'pong', ping: 1, via: 'relayed', address: relay, rttMs })
const direct: Pinged = { event: 'pong', ping: 2, via: 'direct', address: '/ip6/2a00::1/tcp/4001/p2p/a', rttMs: 12.34 }
const failed = (message: string, code: string | null = null): Pinged => ({ event: 'no-answer', ping: 1, code, message })
const text = (pinged: readonly Pinged[], changes: Partial<Circumstances> = {}): string =>
  describeSummary(summarize(pinged, { peer: 'a', upgraded: undefined, relays: [relay], count: 10, ...changes }), colors)

it('a ping is shown with its way and its time', () => {
  expect([relayed(84), direct, failed('no answer in time')].map((each) => describePinged(each, 'a', colors))).toEqual([
    `pong from a via relay ${relay} in 84 ms`,
    'pong from a via [2a00::1]:4001 (direct) in 12 ms',
    '✘ no answer from a: no answer in time'
  ])
})

it('the summary of pings has the times of each way', () => {
  expect(text([relayed(10), relayed(20), failed('x'), relayed(60), direct])).toBe(
    '5 pings, 4 answers; relayed 10 ms / 30 ms / 60 ms (min / mean / max); direct 12 ms\n✔ direct: there is a direct connection to a'
  )
})

it.each([
  [
    'why there is no direct connection',
    { upgraded: { event: 'not-direct', code: 'SYMMETRIC_NAT', message: 'both' } as const },
    ': both'
  ],
  [
    'that more pings may help',
    { count: 1 },
    `→ the attempt for a direct connection was still running; give it more time: postern ping a --relay ${relay} --count 40`
  ],
  ['nothing more after an interruption', {}, '! relayed: a answers through a relay only']
])('the summary of relayed pings says %s', (_, changes, end) => {
  const shown = text([relayed(10)], changes)
  expect(shown.endsWith(end)).toBe(true)
  expect(shown).toContain('! relayed: a answers through a relay only')
})

it.each([
  ['a peer without a reservation', 'status NO_RESERVATION', null, [relay], `postern peer --relay ${relay}`],
  ['a relay that is down', 'ECONNREFUSED', null, [relay], 'check that the relay runs (postern relay, on its machine)'],
  ['an address', 'ECONNREFUSED', null, [], 'postern ping a --relay <multiaddr>'],
  ['a peer without the protocol', 'no', 'UNSUPPORTED', [], 'the peer is connected, but has no ping protocol']
])('the summary without an answer says what to do about %s', (_, message, code, relays, hint) => {
  const shown = text([failed(message, code)], { relays })
  expect(shown).toContain('1 ping, 0 answers\n✘ no answer from a\n→ ')
  expect(shown).toContain(hint)
})

it('the summary of an interruption claims nothing', () => {
  expect(text([])).toBe('0 pings, 0 answers\nInterrupted: nothing is known yet of a')
})
