/** RFC 6887 §11.2.1: renewals are never sent closer together than this. */
export const minSpacingMs = 4000

/**
 * When to renew, in ms after the grant (RFC 6887 §11.2.1): somewhere in [1/2, 5/8] of the lifetime, then in
 * [3/4, 3/4 + 1/16], then in [7/8, 7/8 + 1/32], and so on into what is left.
 *
 * Undefined when no further renewal fits before the lease lapses, or for a lease that never does.
 *
 * @param attempt - 0 for the first renewal of this lease
 * @param sentMs - when the attempt before was sent, in ms after the grant
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
  // The grant was the answer to a request, too.
  const earliest = (sentMs ?? 0) + minSpacingMs
  const at = Math.max(scheduled, earliest)
  return at < lifetimeMs ? at : undefined
}
