import type { CallOptions, Clock, NatError } from '@postern/interface'
import { attempt } from './attempt.js'

/** Looks for evidence, on this side of the router, against an external address that a router claims. Resolves to the
 * reason why it cannot be the router's own, or to undefined where nothing speaks against it. */
export type Doubt = (address: string, call: CallOptions) => Promise<NatError | undefined>

/** What is known against the external addresses that were claimed. */
export interface Doubts {
  /** Has an address looked at, once per network. */
  examine(address: string): void
  /** Whether an address may be taken at its word: not while it is looked at, nor when something speaks against it. */
  clears(address: string): boolean
  readonly isLooking: () => boolean
  readonly reasons: () => readonly NatError[]
  /** Another network: what was found out counts no more, and nothing is looked at longer than the signal lives. */
  reset(call: CallOptions): void
  /** Resolves when nothing is being looked at. */
  settled(): Promise<void>
}

export function createDoubts(doubt: Doubt | undefined, boundMs: number, clock: Clock, changed: () => void): Doubts {
  let known = new Map<string, NatError | 'looking' | undefined>()
  let until: CallOptions | undefined
  const looking = new Set<Promise<void>>()
  return {
    examine(address) {
      if (doubt === undefined || until === undefined || known.has(address)) return
      const table = known
      table.set(address, 'looking')
      const settle = (outcome?: NatError): void => {
        table.set(address, outcome)
        if (table === known) changed()
      }
      // Where it cannot be looked at, nothing speaks against it.
      const work: Promise<void> = attempt((call) => doubt(address, call), boundMs, clock, until)
        .then(settle, () => settle())
        .finally(() => looking.delete(work))
      looking.add(work)
    },
    clears: (address) => known.get(address) === undefined,
    isLooking: () => [...known.values()].includes('looking'),
    reasons: () => [...known.values()].filter((each) => each !== undefined && each !== 'looking'),
    reset(call) {
      known = new Map()
      until = call
    },
    async settled() {
      await Promise.all(looking)
    }
  }
}
