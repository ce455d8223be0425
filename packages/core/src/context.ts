import type { CallOptions, Host, Network } from '@postern/interface'
import type { Candidates } from './candidates.js'
import type { Desks } from './desks.js'
import type { Doubts } from './doubts.js'
import type { MappingEvent } from './events.js'
import type { Ledger } from './ledger.js'
import type { Locals } from './local.js'
import type { MemoryBook } from './memory.js'
import type { Claims } from './owners.js'
import type { Policy } from './policy.js'
import type { Entry, Roster } from './roster.js'

/** What the parts of one traversal share. */
export interface Context {
  readonly host: Host
  readonly policy: Policy
  readonly roster: Roster
  readonly desks: Desks
  readonly memory: MemoryBook
  readonly candidates: Candidates
  readonly locals: Locals
  readonly doubts: Doubts
  readonly ledger: Ledger
  /** What other programs of this host have to do with the endpoints. */
  readonly claims: Claims
  readonly network: () => Network
  /** Whether a strategy of this rank may be used, or must wait for better ones that are still searching. */
  readonly mayUse: (rank: number) => boolean
  readonly firstPassOver: () => boolean
  /** Whether a strategy that has found nothing may yet hear an answer within the schedule of its protocol. */
  readonly isAwaited: (entry: Entry) => boolean
  readonly emit: (event: MappingEvent) => void
  /** Something that the report shows has changed. */
  readonly touched: () => void
  /** A gateway grants something else than before. */
  readonly gatewayChanged: (gateway: string) => void
  /** What was verified may not be so any more. */
  readonly doubt: () => void
}

/** What may still be done once nothing new is begun: as long as the signal does not abort. */
export interface Closing extends CallOptions {
  /** Work that nobody waits for, but the end of it all. */
  readonly track: (work: Promise<void>) => void
}
