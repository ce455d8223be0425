import type { MapRequest } from '@postern/interface'
import type { Reading } from './port-entry.js'

/** WANIPConnection:2 §2.3.16: a week is the longest. */
const longestLeaseSeconds = 604_800
/** A mapping without an end goes when the router restarts, or when its owner tidies up: it is looked at this often. */
const permanentLifetimeMs = 30 * 60 * 1000

/** The lease to ask for, in the unit and the bounds of the service. */
export const askedLeaseSeconds = ({ lifetimeMs }: MapRequest): number =>
  Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), longestLeaseSeconds)

/** The shorter of what was asked for and what the list tells: routers shorten leases, and their lists show other clocks, the
 * longest lease that there is, or no end. One without an end, asked for or not, is not promised for ever: a restart of the
 * router takes it away. */
export function lifetimeOf(askedSeconds: number, reading: Reading): number {
  const told = typeof reading === 'object' ? reading.leaseSeconds : askedSeconds
  const seconds = Math.min(
    told === 0 ? longestLeaseSeconds : told,
    askedSeconds === 0 ? longestLeaseSeconds : askedSeconds
  )
  const isPermanent = told === 0 || askedSeconds === 0
  return isPermanent ? Math.min(seconds * 1000, permanentLifetimeMs) : seconds * 1000
}
