import {
  anySignal,
  type CallOptions,
  type MultiaddrText,
  networkPrefixOf,
  parseMultiaddr,
  printable,
  type Witness
} from '@postern/interface'
import { attempt } from '../async/attempt.js'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Candidate } from '../candidates/candidates.js'
import type { Context } from '../context.js'
import { noteVerified } from '../memory/last-verified.js'
import { eventReason, type MappingEvent } from '../model/events.js'
import { backOffMs } from '../model/policy.js'
import type { EvidenceReport } from '../model/report.js'

/** Has witnesses dial every candidate that could be reached, again and again. */
export interface Verifier {
  /** Starts on new candidates, and stops on withdrawn ones. Private and relayed addresses are not verified. */
  review(call: CallOptions): void
  /** Returns on how many networks there are witnesses. */
  witnessNetworks(): number
  /** Resolves when no witness is being asked or about to be. */
  settled(): Promise<void>
}

/** A candidate, distinguished from earlier ones with the same address. */
type Subject = Pick<Candidate, 'address' | 'since'>

interface Watch {
  readonly since: number
  readonly wakeup: Wakeup
  readonly cut: AbortController
}

/** Created once, because abort() without a reason creates an error with a stack trace each time. */
const withdrawn = new Error('the candidate was withdrawn')
const decided = new Error('the round is over')

/** The longest timer, longer than any witness may take (ms). */
const longestMs = 86_400_000

/** A witness that was outvoted this often is not asked again. */
const maxDemerits = 3

export function createVerifier(context: Context): Verifier {
  const { host, policy, bus, discoveries, candidates } = context
  const { clock } = host
  const running = new Map<MultiaddrText, Watch>()
  const watching = new Set<Promise<void>>()
  const busy = new Map<string, Promise<unknown>>()
  const askedMs = new Map<string, readonly number[]>()
  const demerits = new Map<string, number>()

  const witnesses = (): readonly Witness[] =>
    discoveries.entries
      .flatMap(({ abilities }) => [...abilities.values()])
      .filter((ability) => ability.kind === 'witness')
      .filter(({ party }) => (demerits.get(party.id) ?? 0) < maxDemerits)
      .sort((a, b) => (a.party.rttMs ?? Number.POSITIVE_INFINITY) - (b.party.rttMs ?? Number.POSITIVE_INFINITY))

  const recently = (id: string): readonly number[] =>
    (askedMs.get(id) ?? []).filter((at) => at > clock.monotonicMs() - 60_000)

  /** Asks one witness about one address: one request at a time, and not too many per minute. */
  async function ask(witness: Witness, address: MultiaddrText, call: CallOptions): Promise<EvidenceReport> {
    const { id, network } = witness.party
    const turn = (busy.get(id) ?? Promise.resolve()).then(async () => {
      call.signal.throwIfAborted()
      const asked = recently(id)
      const oldest = asked[0]
      if (asked.length >= policy.maxRequestsPerMinute && oldest !== undefined) {
        await clock.sleep(oldest + 60_000 - clock.monotonicMs(), call)
      }
      askedMs.set(id, [...recently(id), clock.monotonicMs()])
      return attempt((bounded) => witness.verify(address, bounded), policy.verifyTimeoutMs, clock, call)
    })
    busy.set(
      id,
      turn.catch(() => undefined)
    )
    // A witness that fails to answer has said nothing.
    const outcome = await turn.then(
      (evidence) => evidence.outcome,
      () => 'inconclusive' as const
    )
    call.signal.throwIfAborted()
    return { party: id, network, outcome, at: new Date(clock.wallMs()).toISOString() }
  }

  /** Asks until a quorum of distinct networks agrees, or no witness is left. A slow witness is not waited for if there
   * is another one. */
  async function round({ address, since }: Subject, { signal }: CallOptions): Promise<Candidate['ruling']> {
    const evidence: EvidenceReport[] = []
    const own = networkPrefixOf(parseMultiaddr(address)?.address ?? '')
    const asked = new Set<string>()
    const asking = new Set<Promise<void>>()
    const over = new AbortController()
    const call = { signal: anySignal([signal, over.signal]) }
    let slow = 0
    const votes = (outcome: EvidenceReport['outcome']): number =>
      new Set(evidence.filter((each) => each.outcome === outcome).map(({ network }) => network)).size
    const start = (witness: Witness): void => {
      asked.add(witness.party.network)
      const question: Promise<void> = ask(witness, address, call)
        .then((answer) => void evidence.push(answer))
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
        if (ruling !== undefined) for (const each of evidence) judge(each, ruling)
        // Earlier evidence counts until there is newer.
        if (evidence.length > 0) candidates.rule(address, since, { evidence: [...evidence] })
        if (ruling !== undefined) return ruling
        const left = policy.witnessesPerRound - asked.size
        const open = asking.size - Math.min(slow, asking.size)
        const others = distinct(witnesses().filter(({ party }) => !asked.has(party.network) && party.network !== own))
        const next = others.slice(0, Math.max(0, Math.min(left, policy.quorum - Math.max(yes, no) - open)))
        next.forEach(start)
        if (asking.size === 0) return undefined
        const isMore = others.length > next.length && left > next.length
        if (!(await anyWithin(asking, isMore ? policy.slowWitnessMs : Number.POSITIVE_INFINITY, call)))
          slow = asking.size
      }
    } finally {
      over.abort(decided)
    }
  }

  /** Resolves with whether any of the work was done within the time. */
  async function anyWithin(work: Iterable<Promise<void>>, ms: number, call: CallOptions): Promise<boolean> {
    const enough = new AbortController()
    const limit = clock.sleep(Math.min(ms, longestMs), { signal: anySignal([call.signal, enough.signal]) }).then(
      () => false,
      () => true
    )
    try {
      return await Promise.race([limit, ...Array.from(work, (each) => each.then(() => true))])
    } finally {
      enough.abort(decided)
    }
  }

  function judge({ party, outcome }: EvidenceReport, ruling: 'verified' | 'refuted'): void {
    if (outcome === 'inconclusive') return
    const agreed = (outcome === 'reachable') === (ruling === 'verified')
    demerits.set(party, agreed ? 0 : (demerits.get(party) ?? 0) + 1)
  }

  async function watch(subject: Subject, wakeup: Wakeup, call: CallOptions): Promise<void> {
    const { address, since } = subject
    let verified = 0
    let refuted = 0
    let undecided = 0
    for (;;) {
      const ruling = await round(subject, call)
      const current = candidates.get(address)
      if (current?.since !== since) return
      const before = current.ruling
      if (ruling !== undefined) candidates.rule(address, since, { ruling })
      if (ruling === 'verified') {
        verified++
        refuted = Math.max(0, refuted - 1)
        const waitMs = backOffMs(policy.reverify, verified) * (0.8 + host.random() * 0.4)
        if (before !== 'verified') announce('verified', address)
        if (await doubted(wakeup, waitMs, call)) verified = 0
      } else if (ruling === 'refuted') {
        refuted++
        verified = 0
        if (before !== 'refuted') announce('refuted', address)
        // Held down: no witness is asked again, and so nothing announced, before this time has passed.
        await clock.sleep(backOffMs(policy.holdDown, refuted), call)
      } else {
        // Undecided: ask again with growing delays, or as soon as there is another witness.
        undecided = (await wakeup.wait(backOffMs(policy.holdDown, undecided + 1), call)) === 'time' ? undecided + 1 : 0
      }
    }
  }

  /** Waits until it is time to verify again. Resolves with whether a doubt was the reason. */
  async function doubted(wakeup: Wakeup, waitMs: number, call: CallOptions): Promise<boolean> {
    const untilMs = clock.monotonicMs() + waitMs
    for (;;) {
      const why = await wakeup.wait(untilMs - clock.monotonicMs(), call)
      if (why !== 'rescan') return why === 'recheck'
    }
  }

  function announce(event: 'verified' | 'refuted', address: MultiaddrText): void {
    const candidate = candidates.get(address)
    const external = parseMultiaddr(address)
    if (candidate === undefined || external === undefined) return
    const lapses = candidate.expiresAt
    const { endpoint, strategy } = candidate
    const unreachable = { name: 'NatError', code: 'NO_REPLY', message: 'witnesses could not reach it' }
    const told: MappingEvent = {
      event,
      strategy,
      protocol: external.protocol,
      internal: { address: endpoint?.address ?? external.address, port: endpoint?.port ?? external.port },
      external: { address: external.address, port: external.port },
      lifetimeSeconds: lapses === null ? null : Math.max(0, (lapses - clock.wallMs()) / 1000),
      ...(event === 'refuted' ? { reasons: [eventReason(strategy ?? 'local', unreachable)] } : {})
    }
    if (event === 'verified') noteVerified(context.memory, clock, told)
    bus.emit('mapping', told)
  }

  const wakeAll = (why: 'rescan' | 'recheck'): void => {
    for (const { wakeup } of running.values()) wakeup.wake(why)
  }
  bus.on('doubted', () => wakeAll('recheck'))
  // New witnesses are asked where those before could not decide.
  bus.on('strategyChanged', ({ kind }) => {
    if (kind === 'witness') wakeAll('rescan')
  })

  return {
    review({ signal }) {
      const judged = witnesses().length > 0 ? candidates.all() : []
      const wanted = new Map(
        judged
          .filter(({ type, isGlobal }) => type !== 'relayed' && isGlobal)
          .map(({ address, since }) => [address, since])
      )
      // A candidate that came back under the same address is verified as a new one.
      for (const [address, { since, cut }] of running) {
        if (wanted.get(address) === since) continue
        running.delete(address)
        cut.abort(withdrawn)
      }
      for (const [address, since] of wanted) {
        if (running.has(address)) continue
        const cut = new AbortController()
        const each: Watch = { since, wakeup: createWakeup(clock), cut }
        running.set(address, each)
        const over: Promise<void> = watch({ address, since }, each.wakeup, {
          signal: anySignal([signal, cut.signal])
        })
          .catch((error: unknown) => {
            if (!cut.signal.aborted && !signal.aborted)
              host.log.info(`verification failed: ${printable(String(error))}`)
          })
          .finally(() => {
            watching.delete(over)
            if (running.get(address) === each) running.delete(address)
          })
        watching.add(over)
      }
    },
    witnessNetworks: () => distinct(witnesses()).length,
    async settled() {
      await Promise.all([...watching, ...busy.values()])
    }
  }
}

/** Returns the first witness of each network. */
function distinct(witnesses: readonly Witness[]): readonly Witness[] {
  const first = new Map<string, Witness>()
  for (const witness of witnesses) if (!first.has(witness.party.network)) first.set(witness.party.network, witness)
  return [...first.values()]
}
