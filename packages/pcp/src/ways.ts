import type { Endpoint } from '@postern/interface'

/** A lifetime in seconds that is short enough for every known server. */
const shortLifetimeSeconds = 60 * 60
/** The refusals after which a request for another port or a shorter lifetime may succeed. */
export const refusals: ReadonlySet<string> = new Set([
  'NOT_AUTHORIZED',
  'OUT_OF_RESOURCES',
  'CONFLICT',
  'GATEWAY_FAULT'
])

/** The identity of a mapping, the address to ask from, and the requested lifetime. */
export interface Subject {
  readonly endpoint: Endpoint
  readonly nonce: Uint8Array
  readonly lifetimeSeconds: number
}

/** An external address and port. */
export interface External {
  readonly address: string
  readonly port: number
}

/** One variant of a request for a mapping. */
export interface Way {
  readonly subject: Subject
  readonly suggested: External
}

/** Returns the variants of a request, in the order to try them after a refusal: the request itself; another port, since
 * the suggested one may be taken or forbidden (a pinhole has no other port); a lifetime that is short enough for any
 * router. Port 0 lets the server choose (§11.1). RouterOS refuses to choose a port, so the alternative to 0 is the
 * internal port. */
export function waysOf(subject: Subject, suggested: External): readonly Way[] {
  const { endpoint, lifetimeSeconds } = subject
  const other = { ...suggested, port: suggested.port === 0 ? endpoint.port : 0 }
  const shorter = { ...subject, lifetimeSeconds: shortLifetimeSeconds }
  return [
    { subject, suggested },
    ...(endpoint.family === 4 || suggested.port === 0 ? [{ subject, suggested: other }] : []),
    ...(lifetimeSeconds > shortLifetimeSeconds ? [{ subject: shorter, suggested }] : [])
  ]
}
