import type { CandidateReport, Report } from '@postern/core'
import type { Snapshot } from './state.js'

/** A lease as a bar. */
export interface LeaseBar {
  readonly address: string
  readonly strategy: string
  /** What is left of the lease, from 0 to 1; null for one that does not expire. */
  readonly share: number | null
  /** What is left, in ms; null for one that does not expire. */
  readonly leftMs: number | null
  /** How long the lease was when it was granted or renewed, in ms, as far as it is known. */
  readonly totalMs: number | null
}

/** When each lease expires, and how long it was when that was first known. */
export type Lifetimes = ReadonlyMap<string, { readonly expiresAt: string; readonly totalMs: number }>

/**
 * Notes the lifetimes of the leases in a snapshot. A report says only when a lease expires. How long it is was told by the event of
 * its grant; for a lease without one, what is left when it is first seen.
 */
export function noteLifetimes(before: Lifetimes, { report, events, at }: Snapshot): Lifetimes {
  const after = new Map<string, { readonly expiresAt: string; readonly totalMs: number }>()
  for (const { address, expiresAt } of leasesIn(report)) {
    if (expiresAt === null) continue
    const known = before.get(address)
    const granted = grantedMs(events, expiresAt)
    if (granted === undefined && known?.expiresAt === expiresAt) after.set(address, known)
    else after.set(address, { expiresAt, totalMs: granted ?? Math.max(1, Date.parse(expiresAt) - Date.parse(at)) })
  }
  return after
}

/** How far the expiry of a lease may be from the end of a grant, in ms, to be the same lease: clocks and messages take time. */
const maxDifferenceMs = 2000

function grantedMs(events: Snapshot['events'], expiresAt: string): number | undefined {
  for (const { at, name, detail } of events.toReversed()) {
    if (name !== 'mapped' && name !== 'renewed' && name !== 'changed') continue
    if (typeof detail !== 'object' || detail === null || !('lifetimeSeconds' in detail)) continue
    const ms = Number(detail.lifetimeSeconds) * 1000
    if (Math.abs(Date.parse(at) + ms - Date.parse(expiresAt)) <= maxDifferenceMs) return ms
  }
  return undefined
}

/** Returns the leases of a report as bars at a time. */
export const leaseBars = (report: Report, lifetimes: Lifetimes, nowMs: number): readonly LeaseBar[] =>
  leasesIn(report).map(({ address, strategy, expiresAt }) => {
    const about = { address, strategy: strategy ?? '' }
    if (expiresAt === null) return { ...about, share: null, leftMs: null, totalMs: null }
    const leftMs = Math.max(0, Date.parse(expiresAt) - nowMs)
    const totalMs = lifetimes.get(address)?.totalMs ?? Math.max(1, leftMs)
    return { ...about, share: Math.min(1, leftMs / totalMs), leftMs, totalMs }
  })

const leasesIn = ({ candidates }: Report): readonly CandidateReport[] =>
  candidates.filter(({ type, expiresAt }) => expiresAt !== null || type === 'mapped' || type === 'relayed')
