import { anySignal, type CallOptions, type Clock, type NatError } from '@postern/interface'
import { attempt } from './attempt.js'

/** Looks for evidence, on this side of the router, against an external address that a router claims. Resolves to the
 * reason why it cannot be the router's own, or to undefined where nothing speaks against it. */
export type Doubt = (address: string, call: CallOptions) => Promise<NatError | undefined>

/** What is known against the external addresses that were claimed. */
export interface Doubts {
  /** Has an address looked at: at once where it has not been in this network, and again, now and then, as long as something
   * speaks against it. */
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

/** Finding out takes a few exchanges with the router, some of them seconds apart, in ms. */
const boundMs = 5000
/** After a look that found something, in ms: what spoke against an address may have been forged, or be over. */
const again = { firstMs: 60_000, longestMs: 30 * 60_000 } as const
/** A look that finds nothing more is followed by another one, in ms: one answer that is lost is no reason to believe. */
const confirmMs = 10_000

/** Made once: an abort without a reason makes a new error with its stack. */
const replaced = new Error('the network is another one')

export function createDoubts(doubt: Doubt | undefined, clock: Clock, changed: () => void): Doubts {
  let known = new Map<string, NatError | 'looking' | undefined>()
  let until: CallOptions | undefined
  let round = new AbortController()
  const looking = new Set<Promise<void>>()

  // Where it cannot be looked at, nothing speaks against it.
  const look = async (run: Doubt, address: string, call: CallOptions): Promise<NatError | undefined> =>
    attempt((own) => run(address, own), boundMs, clock, call).catch(() => undefined)

  async function follow(run: Doubt, address: string, call: CallOptions): Promise<void> {
    const table = known
    const settle = (outcome?: NatError): void => {
      table.set(address, outcome)
      if (table === known) changed()
    }
    let outcome = await look(run, address, call)
    settle(outcome)
    for (let waitMs: number = again.firstMs; outcome !== undefined; waitMs = Math.min(2 * waitMs, again.longestMs)) {
      await clock.sleep(waitMs, call)
      const next = await look(run, address, call)
      if (next !== undefined) continue
      await clock.sleep(confirmMs, call)
      outcome = await look(run, address, call)
    }
    settle()
  }

  return {
    examine(address) {
      if (doubt === undefined || until === undefined || known.has(address)) return
      known.set(address, 'looking')
      const work: Promise<void> = follow(doubt, address, until)
        // Aborted: it is another network, or the end.
        .catch(() => undefined)
        .finally(() => looking.delete(work))
      looking.add(work)
    },
    clears: (address) => known.get(address) === undefined,
    isLooking: () => [...known.values()].includes('looking'),
    reasons: () => [...known.values()].filter((each) => each !== undefined && each !== 'looking'),
    reset(call) {
      known = new Map()
      round.abort(replaced)
      round = new AbortController()
      until = { signal: anySignal([call.signal, round.signal]) }
    },
    async settled() {
      await Promise.all(looking)
    }
  }
}
