import type { MapRequest } from '@postern/interface'
import type { Reading } from './port-entry.js'

/** WANIPConnection:2 §2.3.16: a week is the longest. */
const longestLeaseSeconds = 604_800
/** A mapping without an end goes when the router restarts, or when its owner tidies up: it is looked at this often. */
const permanentLifetimeMs = 30 * 60 * 1000

/** The lease to ask for, in the unit and the bounds of the service. */
export const askedLeaseSeconds = ({ lifetimeMs }: MapRequest): number =>
  Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), longestLeaseSeconds)

/** The lease that was read back counts, not the one that was asked for: routers shorten, ignore and invent them. One
 * without an end, asked for or not, is not promised for ever: a restart of the router takes it away. */
export function lifetimeOf(askedSeconds: number, reading: Reading): number {
  const seconds = typeof reading === 'object' ? reading.leaseSeconds : askedSeconds
  if (seconds === 0) return permanentLifetimeMs
  const lifetimeMs = Math.min(seconds, longestLeaseSeconds) * 1000
  // miniupnpd makes a week of 0; the router that wanted 0 may do so too, or have misled us.
  return askedSeconds === 0 ? Math.min(lifetimeMs, permanentLifetimeMs) : lifetimeMs
}
