import { abortReason, anySignal, type CallOptions, type Clock, type NatError } from '@postern/interface'
import { attempt } from '../async/attempt.js'

/** Looks for evidence, on this side of the router, against an external address that a router claims. Resolves with the
 * reason why it cannot be the router's own address (`DOUBLE_NAT` for example), or with undefined if nothing speaks
 * against it. A call that rejects counts as no evidence. */
export type CheckExternalAddress = (address: string, call: CallOptions) => Promise<NatError | undefined>

/** The evidence against claimed external addresses. */
export interface ClaimChecks {
  /** Has an address checked: once in each network, and again from time to time while there is evidence against it. */
  examine(address: string): void
  /** Whether an address may be believed: not while it is checked, nor with evidence against it. */
  clears(address: string): boolean
  /** Whether there is evidence against an address. */
  contradicts(address: string): boolean
  readonly isLooking: () => boolean
  readonly reasons: () => readonly NatError[]
  /** Discards all evidence after a change of the network. Checks end with the signal. */
  reset(call: CallOptions): void
  /** Resolves when no check is running. */
  settled(): Promise<void>
}

/** Time limit of one check (ms). It takes a few exchanges with the router, some of them seconds apart. */
const boundMs = 5000
/** Delay before a check that found evidence is repeated (ms): the evidence may have been forged, or be out of date. */
const again = { firstMs: 60_000, longestMs: 30 * 60_000 } as const
/** Delay before a check that finds no more evidence is repeated (ms): one lost answer must not clear an address. */
const confirmMs = 10_000

const replaced = abortReason('the network has changed')

export function createClaimChecks(
  doubt: CheckExternalAddress | undefined,
  clock: Clock,
  changed: () => void
): ClaimChecks {
  let known = new Map<string, NatError | 'looking' | undefined>()
  let until: CallOptions | undefined
  let round = new AbortController()
  const looking = new Set<Promise<void>>()

  // A check that fails is no evidence.
  const look = async (run: CheckExternalAddress, address: string, call: CallOptions): Promise<NatError | undefined> =>
    attempt((own) => run(address, own), boundMs, clock, call).catch(() => undefined)

  async function follow(run: CheckExternalAddress, address: string, call: CallOptions): Promise<void> {
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
        // Aborted: the network has changed, or the traversal stops.
        .catch(() => undefined)
        .finally(() => looking.delete(work))
      looking.add(work)
    },
    clears: (address) => known.get(address) === undefined,
    contradicts(address) {
      const outcome = known.get(address)
      return outcome !== undefined && outcome !== 'looking'
    },
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
