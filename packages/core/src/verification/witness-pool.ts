import type { CallOptions, Evidence, Family, MultiaddrText, Witness } from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import { createRequestRate } from '../async/request-rate.js'
import type { Context } from '../context.js'
import type { EvidenceReport } from '../model/report.js'

/** The witnesses that may be asked, and how often. */
export interface WitnessPool {
  /** Returns the witnesses that may be asked about addresses of a family, the nearest first; of both families without
   * one. */
  witnesses(family?: Family): readonly Witness[]
  /** Asks one witness about one address: one request at a time, and not too many per minute. A witness that fails to
   * answer has said nothing: `inconclusive`. Rejects with the signal's reason only. */
  ask(witness: Witness, address: MultiaddrText, call: CallOptions): Promise<EvidenceReport>
  /** Notes whether a witness agreed with the ruling of a round. */
  judge(evidence: EvidenceReport, ruling: 'verified' | 'refuted'): void
  /** Resolves when no witness is being asked. */
  settled(): Promise<void>
}

/** A witness that was outvoted this often is not asked again. */
const maxDemerits = 3

export function createWitnessPool({ host, policy, requests, discoveries }: Context): WitnessPool {
  const { clock } = host
  const busy = new Map<string, Promise<unknown>>()
  const rate = createRequestRate(clock, policy.maxRequestsPerMinute)
  const demerits = new Map<string, number>()
  /** Until when a witness may still dial for a question that was given up (monotonic ms). */
  const dialsUntilMs = new Map<string, number>()

  const witnesses = (family?: Family): readonly Witness[] =>
    discoveries.entries
      .flatMap(({ abilities }) => [...abilities.values()])
      .filter((ability) => ability.kind === 'witness')
      .filter((witness) => family === undefined || (witness.family ?? family) === family)
      .filter(({ party }) => (demerits.get(party.id) ?? 0) < maxDemerits)
      .sort((a, b) => (a.party.rttMs ?? Number.POSITIVE_INFINITY) - (b.party.rttMs ?? Number.POSITIVE_INFINITY))

  /** Asks a witness, and records until when it may still dial if the answer is not awaited any more. A libp2p server
   * merges its dials to one peer: it would answer a second question by the connection of the first one, and say yes to an
   * address that it has not reached. */
  async function verify(
    witness: Witness,
    strategy: string,
    address: MultiaddrText,
    call: CallOptions
  ): Promise<Evidence> {
    const sentMs = clock.monotonicMs()
    try {
      const subject = { strategy, verb: 'verify', vote: outcomeOf } as const
      return await requests.attempt(
        subject,
        (bounded) => witness.verify(address, bounded),
        policy.verifyTimeoutMs,
        call
      )
    } catch (error) {
      if (call.signal.aborted || asNatError(error).code === 'ATTEMPT_TIMEOUT')
        dialsUntilMs.set(witness.party.id, sentMs + policy.verifyTimeoutMs)
      throw error
    }
  }

  /** Returns the name of the strategy that has found a witness. */
  const strategyOf = (witness: Witness): string =>
    discoveries.entries.find(({ abilities }) => [...abilities.values()].some((each) => each === witness))?.name ??
    'other'

  async function untilFree(id: string, call: CallOptions): Promise<void> {
    const waitMs = (dialsUntilMs.get(id) ?? 0) - clock.monotonicMs()
    if (waitMs > 0) await clock.sleep(waitMs, call)
    dialsUntilMs.delete(id)
  }

  return {
    witnesses,
    async ask(witness, address, call) {
      const { id, network } = witness.party
      const strategy = strategyOf(witness)
      const turn = (busy.get(id) ?? Promise.resolve()).then(async () => {
        call.signal.throwIfAborted()
        await untilFree(id, call)
        await rate.take(id, call)
        return verify(witness, strategy, address, call)
      })
      const ended: Promise<unknown> = turn
        .catch(() => undefined)
        .then(() => {
          if (busy.get(id) === ended) busy.delete(id)
        })
      busy.set(id, ended)
      // A witness that fails to answer has said nothing.
      const outcome = await turn.then(
        (evidence) => evidence.outcome,
        () => 'inconclusive' as const
      )
      call.signal.throwIfAborted()
      return { party: id, network, outcome, at: new Date(clock.wallMs()).toISOString() }
    },
    judge({ party, outcome }, ruling) {
      if (outcome === 'inconclusive') return
      const agreed = (outcome === 'reachable') === (ruling === 'verified')
      demerits.set(party, agreed ? 0 : (demerits.get(party) ?? 0) + 1)
    },
    async settled() {
      await Promise.all(busy.values())
    }
  }
}

const outcomeOf = ({ outcome }: Evidence): Evidence['outcome'] => outcome

/** Returns the first witness of each network. */
export function onePerNetwork(witnesses: readonly Witness[]): readonly Witness[] {
  const first = new Map<string, Witness>()
  for (const witness of witnesses) if (!first.has(witness.party.network)) first.set(witness.party.network, witness)
  return [...first.values()]
}
