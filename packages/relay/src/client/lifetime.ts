import { type Clock, natError } from '@postern/interface'

/** The longest lifetime that is believed, in milliseconds. Relays grant one or two hours and state the end by their own
 * clock; if our clock is slow, the end seems to be later than it is. Extra renewals cost little. */
const maxLifetimeMs = 2 * 3_600_000

/**
 * Returns how long a reservation lives from now, in milliseconds. Throws GRANT_INVALID for one without an end, and for
 * one that has already ended.
 *
 * @param expireSeconds - the end, as Unix time in seconds by the clock of the relay
 */
export function lifetimeOf(expireSeconds: number | undefined, clock: Clock): number {
  if (expireSeconds === undefined)
    throw natError('GRANT_INVALID', 'the relay does not report when the reservation ends')
  const lifetimeMs = expireSeconds * 1000 - clock.wallMs()
  if (lifetimeMs <= 0) {
    throw natError(
      'GRANT_INVALID',
      'the reservation has already ended, or the clock of the relay or of this host is wrong'
    )
  }
  return Math.min(lifetimeMs, maxLifetimeMs)
}
