import type { Budget } from './budget.js'
import type { HolePunchHost } from './host.js'
import type { Knowledge } from './knowledge.js'
import type { Settings } from './options.js'
import type { PunchPort } from './ports.js'

/** What all punches of one search share. */
export interface Context {
  readonly host: HolePunchHost
  readonly settings: Settings
  readonly budget: Budget
  /** IP addresses of this host, inside and outside: nobody can have us dial those. */
  readonly own: () => ReadonlySet<string>
  /** Remembers where a port of this host was seen. */
  readonly seen: (port: PunchPort) => void
  /** Of our NAT. */
  readonly knowledge: Knowledge
}
