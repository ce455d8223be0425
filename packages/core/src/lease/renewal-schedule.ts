/** RFC 6887 §11.2.1: renewals are never sent closer together than this (ms). */
export const minSpacingMs = 4000

/**
 * Returns when to renew, in ms after the grant (RFC 6887 §11.2.1): somewhere in [1/2, 5/8] of the lifetime, then in
 * [3/4, 3/4 + 1/16], then in [7/8, 7/8 + 1/32], and so on.
 *
 * Undefined if no further renewal fits before the lease expires, and for a lease that never does.
 *
 * @param attempt - 0 for the first renewal of this lease
 * @param sentMs - when the previous attempt was sent, in ms after the grant
 */
export function renewalMs(
  lifetimeMs: number,
  attempt: number,
  sentMs: number | undefined,
  random: () => number
): number | undefined {
  if (lifetimeMs === Number.POSITIVE_INFINITY) return undefined
  const left = lifetimeMs / 2 ** (attempt + 1)
  const scheduled = lifetimeMs - left + random() * (left / 4)
  // The grant was the reply to a request, so the spacing starts there.
  const earliest = (sentMs ?? 0) + minSpacingMs
  const at = Math.max(scheduled, earliest)
  return at < lifetimeMs ? at : undefined
}
