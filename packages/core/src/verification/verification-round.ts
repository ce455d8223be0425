import {
  abortReason,
  anySignal,
  type CallOptions,
  type Clock,
  networkPrefixOf,
  parseMultiaddr,
  type Witness
} from '@postern/interface'
import type { Candidate } from '../candidates/candidates.js'
import type { Context } from '../context.js'
import type { EvidenceReport } from '../model/report.js'
import { onePerNetwork, type WitnessPool } from './witness-pool.js'

/** A candidate, distinguished from earlier ones with the same address. */
export type Subject = Pick<Candidate, 'address' | 'since'>

export interface RoundParts {
  readonly context: Context
  readonly pool: WitnessPool
}

const decided = abortReason('the round is over')

/** The longest timer, longer than any witness may take (ms). */
const maxTimerMs = 86_400_000

/** Asks until a quorum of distinct networks agrees, or no witness is left. A slow witness is not waited for if there
 * is another one. */
export async function verificationRound(
  { address, since }: Subject,
  { context, pool }: RoundParts,
  { signal }: CallOptions
): Promise<Candidate['ruling']> {
  const { host, policy, candidates } = context
  const evidence: EvidenceReport[] = []
  const place = parseMultiaddr(address)
  const own = networkPrefixOf(place?.address ?? '')
  const mayAsk = ({ network }: Witness['party']): boolean => {
    // Looked up each time: an observer may have been sent something since.
    const { onlyNetworks, exceptNetworks } = candidates.get(address) ?? {}
    return (
      !asked.has(network) &&
      network !== own &&
      onlyNetworks?.has(network) !== false &&
      exceptNetworks?.has(network) !== true
    )
  }
  const asked = new Set<string>()
  const asking = new Set<Promise<void>>()
  const over = new AbortController()
  const call = { signal: anySignal([signal, over.signal]) }
  let slow = 0
  const votes = (outcome: EvidenceReport['outcome']): number =>
    new Set(evidence.filter((each) => each.outcome === outcome).map(({ network }) => network)).size
  /** Takes a yes from a network that was sent something while the witness tried for no answer: the NAT may have let it in only for
   * that. */
  const unlessSentTo = (answer: EvidenceReport): EvidenceReport =>
    answer.outcome === 'reachable' && candidates.get(address)?.exceptNetworks?.has(answer.network) === true
      ? { ...answer, outcome: 'inconclusive' }
      : answer
  const start = (witness: Witness): void => {
    asked.add(witness.party.network)
    const question: Promise<void> = pool
      .ask(witness, address, call)
      .then((answer) => void evidence.push(unlessSentTo(answer)))
      .finally(() => asking.delete(question))
    // The round may be over before it fails.
    question.catch(() => undefined)
    asking.add(question)
  }

  try {
    for (;;) {
      signal.throwIfAborted()
      const [yes, no] = [votes('reachable'), votes('unreachable')]
      const ruling = yes >= policy.quorum ? 'verified' : no >= policy.quorum ? 'refuted' : undefined
      if (ruling !== undefined) for (const each of evidence) pool.judge(each, ruling)
      // Earlier evidence counts until there is newer.
      if (evidence.length > 0) candidates.rule(address, since, { evidence: [...evidence] })
      if (ruling !== undefined) return ruling
      const left = policy.witnessesPerRound - asked.size
      const open = asking.size - Math.min(slow, asking.size)
      const others = onePerNetwork(pool.witnesses(place?.family).filter(({ party }) => mayAsk(party)))
      const next = others.slice(0, Math.max(0, Math.min(left, policy.quorum - Math.max(yes, no) - open)))
      next.forEach(start)
      if (asking.size === 0) return undefined
      const isMore = others.length > next.length && left > next.length
      if (!(await anyWithin(host.clock, asking, isMore ? policy.slowWitnessMs : Number.POSITIVE_INFINITY, call)))
        slow = asking.size
    }
  } finally {
    over.abort(decided)
  }
}

/** Resolves with whether any of the work was done within the time. */
async function anyWithin(clock: Clock, work: Iterable<Promise<void>>, ms: number, call: CallOptions): Promise<boolean> {
  const enough = new AbortController()
  const limit = clock.sleep(Math.min(ms, maxTimerMs), { signal: anySignal([call.signal, enough.signal]) }).then(
    () => false,
    () => true
  )
  try {
    return await Promise.race([limit, ...Array.from(work, (each) => each.then(() => true))])
  } finally {
    enough.abort(decided)
  }
}
