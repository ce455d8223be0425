import type { CallOptions, NatError } from '@postern/interface'
import { asNatError } from './attempt.js'

/** Looks for evidence, on this side of the router, against an external address that a router claims. Resolves to the
 * reason why it cannot be the router's own, or to undefined where nothing speaks against it. */
export type Doubt = (address: string, call: CallOptions) => Promise<NatError | undefined>

/** What is known against the external addresses that were claimed. */
export interface Doubts {
  /** Has an address looked at, once per network. */
  examine(address: string, call: CallOptions): void
  /** Whether an address may be taken at its word: not while it is looked at, nor when something speaks against it. */
  clears(address: string): boolean
  readonly isLooking: () => boolean
  readonly reasons: () => readonly NatError[]
  /** Another network: what was found out counts no more. */
  reset(): void
}

export function createDoubts(doubt: Doubt | undefined, changed: () => void): Doubts {
  const known = new Map<string, NatError | 'looking' | undefined>()
  return {
    examine(address, call) {
      if (doubt === undefined || known.has(address)) return
      known.set(address, 'looking')
      const settle = (outcome: NatError | undefined): void => {
        if (known.get(address) === 'looking') known.set(address, outcome)
        changed()
      }
      // Where it cannot be looked at, nothing speaks against it.
      doubt(address, call).then(settle, (error: unknown) => settle(void asNatError(error)))
    },
    clears: (address) => known.get(address) === undefined,
    isLooking: () => [...known.values()].includes('looking'),
    reasons: () => [...known.values()].filter((each) => each !== undefined && each !== 'looking'),
    reset: () => known.clear()
  }
}
