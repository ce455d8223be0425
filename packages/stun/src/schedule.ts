/** RFC 8489 §6.2.1: the first wait, in ms. */
export const defaultRtoMs = 500
/** RFC 8489 §6.2.1: Rc, how often a request is sent. */
export const defaultRequests = 7
/** RFC 8489 §6.2.1: Rm, how many RTO there are after the last sending. */
const lastWaits = 16

/** RFC 8489 §6.2.1: the waits after each sending, in ms. With 500 ms and 7 sendings: at 0, 500, 1500, 3500, 7500, 15,500
 * and 31,500, and given up at 39,500. */
export function waitsFor(requests: number = defaultRequests, rtoMs: number = defaultRtoMs): readonly number[] {
  return Array.from({ length: requests }, (_, sending) =>
    // Fewer sendings are for those who are not that patient: what comes after the last one shrinks with it.
    sending < requests - 1 ? rtoMs * 2 ** sending : rtoMs * Math.min(lastWaits, 2 ** sending)
  )
}

/** Where silence is an answer: three sendings, so that a lost one does not decide, and 3 s in all. */
export const silenceWaitsMs: readonly number[] = [500, 1000, 1500]

/** RFC 8445 §14.2: Ta, the least time between the beginnings of two transactions, in ms. */
export const pacingMs = 50
