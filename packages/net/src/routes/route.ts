import type { Family } from '@postern/interface'

/** A default route. */
export interface Route {
  /** The family of the route. */
  readonly family: Family
  /** The next hop; undefined if the link has none (a point-to-point link, most VPNs). */
  readonly gateway: string | undefined
  /** The name of the network interface. */
  readonly interface: string
  /** The priority of the route; the kernel uses the lowest one. */
  readonly metric: number
  /** The hardware address of the next hop, if the system knows it already. */
  readonly mac?: string
}

/** Resolves to the default routes of this machine, in any order. */
export type FindRoutes = () => Promise<readonly Route[]>

/** The metric of a pair of routes to the two halves of the internet, which outranks every default route. VPN software
 * installs such a pair so that it need not change the default route (OpenVPN's `redirect-gateway def1`). */
export const halvesMetric = -1
