import {
  abortReason,
  anySignal,
  type CallOptions,
  type Family,
  type MultiaddrText,
  natError,
  printable
} from '@postern/interface'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import { candidateEvent } from '../candidates/candidate-event.js'
import type { Context } from '../context.js'
import { noteVerified } from '../memory/last-verified.js'
import { backOffMs } from '../model/policy.js'
import { type Subject, verificationRound } from './verification-round.js'
import { createWitnessPool, onePerNetwork } from './witness-pool.js'

/** Has witnesses dial every candidate that could be reached, again and again. */
export interface Verifier {
  /** Starts on new candidates, and stops on withdrawn ones. Private and relayed addresses are not verified. */
  review(call: CallOptions): void
  /** Returns on how many networks there are witnesses that can be asked about the candidates: for the family of a
   * candidate that has the most of them. */
  witnessNetworks(): number
  /** Resolves when no witness is being asked or about to be. */
  settled(): Promise<void>
}

interface Watch {
  readonly since: number
  readonly wakeup: Wakeup
  readonly controller: AbortController
}

const withdrawn = abortReason('the candidate was withdrawn')

export function createVerifier(context: Context): Verifier {
  const { host, policy, bus, candidates } = context
  const { clock } = host
  const running = new Map<MultiaddrText, Watch>()
  const watching = new Set<Promise<void>>()
  const pool = createWitnessPool(context)
  async function watch(subject: Subject, wakeup: Wakeup, call: CallOptions): Promise<void> {
    const { address, since } = subject
    let verified = 0
    let refuted = 0
    let undecided = 0
    for (;;) {
      const isGuess = candidates.get(address)?.type === 'observed'
      const ruling = await verificationRound(subject, { context, pool }, call)
      const current = candidates.get(address)
      if (current?.since !== since) return
      // The port of the guess was opened meanwhile: ask again about it at once.
      if (isGuess && current.type !== 'observed' && ruling !== 'verified') continue
      const before = current.ruling
      candidates.rule(address, since, { isTried: true, ...(ruling === undefined ? {} : { ruling }) })
      if (ruling === 'verified') {
        verified++
        refuted = Math.max(0, refuted - 1)
        const waitMs = backOffMs(policy.reverify, verified) * (0.8 + host.random() * 0.4)
        if (before !== 'verified') announce('verified', address)
        if (await doubted(wakeup, waitMs, call)) verified = 0
      } else if (ruling === 'refuted') {
        refuted++
        verified = 0
        // An observed address was only a guess, and is not told before it was verified.
        if (before !== 'refuted' && (!isGuess || before === 'verified')) announce('refuted', address)
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
    if (candidate === undefined) return
    const reason = event === 'refuted' ? natError('NO_REPLY', 'witnesses could not reach it') : undefined
    const told = candidateEvent(event, candidate, clock, reason)
    if (told === undefined) return
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
      const judged = pool.witnesses().length > 0 ? candidates.all() : []
      const wanted = new Map(
        judged
          .filter(({ type, isGlobal }) => type !== 'relayed' && isGlobal)
          .map(({ address, since }) => [address, since])
      )
      // A candidate that came back under the same address is verified as a new one.
      for (const [address, { since, controller }] of running) {
        if (wanted.get(address) === since) continue
        running.delete(address)
        controller.abort(withdrawn)
      }
      for (const [address, since] of wanted) {
        if (running.has(address)) continue
        const controller = new AbortController()
        const each: Watch = { since, wakeup: createWakeup(clock), controller }
        running.set(address, each)
        const over: Promise<void> = watch({ address, since }, each.wakeup, {
          signal: anySignal([signal, controller.signal])
        })
          .catch((error: unknown) => {
            if (!controller.signal.aborted && !signal.aborted)
              host.log.info(`verification failed: ${printable(String(error))}`)
          })
          .finally(() => {
            watching.delete(over)
            if (running.get(address) === each) running.delete(address)
          })
        watching.add(over)
      }
    },
    witnessNetworks() {
      const asked = new Set(candidates.all().map(({ host: ip }): Family => (ip?.includes(':') === true ? 6 : 4)))
      const families = asked.size > 0 ? [...asked] : ([4, 6] as const)
      return Math.max(...families.map((family) => onePerNetwork(pool.witnesses(family)).length))
    },
    async settled() {
      await Promise.all([...watching, pool.settled()])
    }
  }
}
