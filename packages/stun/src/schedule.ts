/** RTO: the first wait, in ms (RFC 8489 §6.2.1). */
export const defaultRtoMs = 500
/** Rc: how often a request is sent (RFC 8489 §6.2.1). */
export const defaultRequests = 7
/** Rm: the wait after the last transmission, in RTOs (RFC 8489 §6.2.1). */
const lastWaits = 16

/** Returns the waits after each transmission, in ms (RFC 8489 §6.2.1). The defaults send at 0, 500, 1500, 3500, 7500,
 * 15,500 and 31,500 ms, and give up at 39,500 ms. */
export function waitsFor(requests: number = defaultRequests, rtoMs: number = defaultRtoMs): readonly number[] {
  return Array.from({ length: requests }, (_, sending) =>
    // With fewer transmissions the last wait is shorter too.
    sending < requests - 1 ? rtoMs * 2 ** sending : rtoMs * Math.min(lastWaits, 2 ** sending)
  )
}

/** The waits of a test that expects silence, in ms: three transmissions, so that one lost datagram does not decide, and
 * 3 s in total. */
export const silenceWaitsMs: readonly number[] = [500, 1000, 1500]

/** Ta: the minimum time between the starts of two transactions, in ms (RFC 8445 §14.2). */
export const pacingMs = 50
