import type { CallOptions } from '@postern/interface'
import type { Budget } from './budget.js'
import type { Mapping } from './codec.js'
import type { HolePunchHost } from './host.js'
import type { Settings } from './options.js'

/** What all punches of one search share. */
export interface Context {
  readonly host: HolePunchHost
  readonly settings: Settings
  readonly budget: Budget
  /** IP addresses of this host, inside and outside: nobody can have us dial those. */
  readonly own: () => ReadonlySet<string>
  /** Remembers where this host seems to be. */
  readonly seen: (external: string) => void
  /** How our NAT maps ports, as soon as it is known. */
  readonly mapping: () => Mapping | undefined
  /** Resolves when it is known, or will not be, or when it has been waited for long enough. */
  readonly mappingLearned: (call: CallOptions) => Promise<void>
}
