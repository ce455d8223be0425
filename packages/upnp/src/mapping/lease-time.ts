import type { MapRequest } from '@postern/interface'
import type { Reading } from './port-entry.js'

/** The maximum lease, in seconds: a week (WANIPConnection:2 §2.3.16). */
const maxLeaseSeconds = 604_800
/** The reported lifetime of a permanent mapping, in ms, so that it is checked this often: it is lost when the router
 * restarts, or when its owner deletes it. */
const permanentLifetimeMs = 30 * 60 * 1000

/** Returns the lease to request, in seconds and within the limits of the service. */
export const askedLeaseSeconds = ({ lifetimeMs }: MapRequest): number =>
  Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), maxLeaseSeconds)

/** Returns the lifetime of a lease in ms: the shorter of the requested lease and the one in the router's list. Routers
 * shorten leases, and their lists may have other clocks, or show the maximum lease or a permanent one. A permanent
 * mapping gets at most 30 minutes, because a restart of the router deletes it. */
export function lifetimeOf(askedSeconds: number, reading: Reading): number {
  const told = typeof reading === 'object' ? reading.leaseSeconds : askedSeconds
  const seconds = Math.min(told === 0 ? maxLeaseSeconds : told, askedSeconds === 0 ? maxLeaseSeconds : askedSeconds)
  const isPermanent = told === 0 || askedSeconds === 0
  return isPermanent ? Math.min(seconds * 1000, permanentLifetimeMs) : seconds * 1000
}
