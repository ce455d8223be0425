import { describe, expect, it } from 'vitest'
import { leaseBars, noteLifetimes } from '../../src/model/leases.js'
import type { Snapshot } from '../../src/model/state.js'
import { situations } from '../support/situations.mjs'

const first = situations.verified
const startMs = Date.parse('2026-11-28T10:00:00.000Z')
const iso = (seconds: number): string => new Date(startMs + seconds * 1000).toISOString()
const expiring = (seconds: number, at: number, events: Snapshot['events'] = []): Snapshot => ({
  ...first,
  at: iso(at),
  events,
  report: { ...first.report, candidates: first.report.candidates.map((each) => ({ ...each, expiresAt: iso(seconds) })) }
})
const barAt = (lifetimes: Parameters<typeof leaseBars>[1], snapshot: Snapshot, seconds: number) =>
  leaseBars(snapshot.report, lifetimes, startMs + seconds * 1000)[0]

describe('the bars of leases', () => {
  it('a bar runs down from the lifetime that the event of the grant tells', () => {
    const lifetimes = noteLifetimes(new Map(), first)
    expect(barAt(lifetimes, first, 0)).toMatchObject({ share: 1, totalMs: 7_200_000 })
    expect(barAt(lifetimes, first, 2400)).toMatchObject({ share: 2 / 3, leftMs: 4_800_000 })
    expect(barAt(lifetimes, first, 7200)).toMatchObject({ share: 0, leftMs: 0 })
    expect(barAt(lifetimes, first, 9000)).toMatchObject({ share: 0, leftMs: 0 })
  })

  it('a bar is full again after a renewal', () => {
    const [mapped] = first.events.filter(({ name }) => name === 'mapped')
    if (mapped?.name !== 'mapped') throw new Error('no event')
    const before = noteLifetimes(new Map(), first)
    const renewed = expiring(10_800, 3600, [{ ...mapped, name: 'renewed', seq: 9, at: iso(3600) }])
    const after = noteLifetimes(before, renewed)
    expect(barAt(before, first, 3600)).toMatchObject({ share: 0.5 })
    expect(barAt(after, renewed, 3600)).toMatchObject({ share: 1, totalMs: 7_200_000 })
    expect(barAt(noteLifetimes(after, expiring(10_800, 5400)), renewed, 5400)).toMatchObject({ share: 0.75 })
  })

  it('a bar without an event runs down from what was left at first, and is full again when it expires later', () => {
    const seen = noteLifetimes(new Map(), expiring(1000, 500))
    expect(barAt(seen, expiring(1000, 500), 750)).toMatchObject({ share: 0.5, totalMs: 500_000 })
    const later = noteLifetimes(seen, expiring(2000, 800))
    expect(barAt(later, expiring(2000, 800), 800)).toMatchObject({ share: 1, totalMs: 1_200_000 })
  })

  it('a lease that does not expire has no end', () => {
    const report = {
      ...first.report,
      candidates: first.report.candidates.map((each) => ({ ...each, expiresAt: null }))
    }
    expect(leaseBars(report, new Map(), startMs)).toEqual([
      { address: '/ip4/11.0.0.2/tcp/8080', strategy: 'pcp', share: null, leftMs: null, totalMs: null }
    ])
  })
})
