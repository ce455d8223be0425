import type { Endpoint } from '@postern/interface'

/** No server refuses a lease as short as this one, in seconds, for its length. */
const shortLifetimeSeconds = 60 * 60
/** Refusals that another port or a shorter lease may not meet. */
export const refusals: ReadonlySet<string> = new Set([
  'NOT_AUTHORIZED',
  'OUT_OF_RESOURCES',
  'CONFLICT',
  'GATEWAY_FAULT'
])

/** What identifies a mapping to the server, and where to ask from. */
export interface Subject {
  readonly endpoint: Endpoint
  readonly nonce: Uint8Array
  readonly lifetimeSeconds: number
}

export interface External {
  readonly address: string
  readonly port: number
}

/** One way to ask for a mapping. */
export interface Way {
  readonly subject: Subject
  readonly suggested: External
}

/** The request, and what to ask for where that is refused: another port than one that is taken or not allowed, which a pinhole
 * has not, and a lease that is short enough for any router. RouterOS refuses to choose a port; 0 leaves the choice to the server
 * (§11.1), so the internal one is as good. */
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
