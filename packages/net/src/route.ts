import type { Family } from '@postern/interface'

/** A default route. */
export interface Route {
  readonly family: Family
  /** The next hop; undefined where the link has none (a point-to-point link, most VPNs). */
  readonly gateway: string | undefined
  readonly interface: string
  /** The lowest one is used. */
  readonly metric: number
  /** The hardware address of the next hop, where it is known already. */
  readonly mac?: string
}

/** Reads the default routes of this machine, in any order. */
export type FindRoutes = () => Promise<readonly Route[]>

/** Routes to both halves of the internet outrank any default route: VPN software installs these to leave the default
 * route alone (OpenVPN's `redirect-gateway def1`). */
export const halvesMetric = -1
