import type { Budget } from './dial/syn-budget.js'
import type { HolePunchHost } from './host.js'
import type { Knowledge } from './nat/nat-mapping.js'
import type { PunchPort } from './nat/punch-ports.js'
import type { Settings } from './options.js'

/** The state that all hole punches of one search share. */
export interface Context {
  readonly host: HolePunchHost
  readonly settings: Settings
  readonly budget: Budget
  /** Returns the internal and external IP addresses of this host. They are never dialled for a peer. */
  readonly own: () => ReadonlySet<string>
  /** Records the observed external address of a port of this host. */
  readonly seen: (port: PunchPort) => void
  /** The knowledge about our NAT. */
  readonly knowledge: Knowledge
}
