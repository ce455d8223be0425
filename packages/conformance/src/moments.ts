import type { Lease, MapRequest } from '@postern/interface'
import { call, mapperOf, mappingsOf, requestFor } from './asking.js'
import type { OpenStage } from './rule.js'
import type { Outcome, Stage } from './stage.js'
import type { Target } from './target.js'

/** One `map` that was aborted before it settled. */
export interface AbortedMap {
  readonly stage: Stage
  readonly request: MapRequest
  readonly reason: Error
  readonly outcome: Outcome<Lease>
  readonly abortedAtMs: number
  /** Whether an undisturbed `map` creates a mapping. */
  readonly isMappedElse: boolean
  /** Whether the answer may have arrived before the abort. Then a lease is as valid as a rejection. */
  readonly isLate: boolean
  /** The time of the abort: `aborted 12 ms and 3 turns after the call`. */
  readonly when: string
}

/** Delays of the abort in turns of the microtask queue, so that it hits different awaits. */
const turns = [0, 1, 2, 3, 5, 8, 13, 21]
const instants = 10
const realTurns = [0, 3]
const realInstants = 4

/** Maps repeatedly, each time in a new world, and aborts at a different time. */
export async function* abortedMaps(open: OpenStage, target: Target): AsyncGenerator<AbortedMap> {
  const { stage, durationMs, isMapped } = await undisturbed(open, target)
  const count = stage.isVirtual ? instants : realInstants
  const steps = Array.from({ length: count }, (_, index) => (durationMs * index) / count)
  // Includes the time of the answer, since work after the answer must be undone too.
  for (const ms of new Set([...steps, durationMs]))
    for (const turn of stage.isVirtual ? turns : realTurns)
      yield { ...(await abortedAt(await open(), target, ms, turn, durationMs)), isMappedElse: isMapped }
}

/** Measures an undisturbed `map`. */
async function undisturbed(
  open: OpenStage,
  target: Target
): Promise<{ readonly stage: Stage; readonly durationMs: number; readonly isMapped: boolean }> {
  const stage = await open()
  const mapper = await mapperOf(stage, target)
  const request = requestFor(stage, mapper)
  const before = stage.host.clock.monotonicMs()
  const outcome = await stage.outcome(mapper.map(request, call()))
  const isMapped = mappingsOf(stage, request).length > 0
  return { stage, durationMs: outcome.state === 'pending' ? 100 : outcome.atMs - before, isMapped }
}

async function abortedAt(
  stage: Stage,
  target: Target,
  ms: number,
  turn: number,
  durationMs: number
): Promise<Omit<AbortedMap, 'isMappedElse'>> {
  const mapper = await mapperOf(stage, target)
  const request = requestFor(stage, mapper)
  const reason = new Error('the test has had enough')
  const controller = new AbortController()
  const { clock } = stage.host
  const startedAtMs = clock.monotonicMs()
  let abortedAtMs = startedAtMs
  const abort = async (): Promise<void> => {
    if (ms > 0) await clock.sleep(ms, call())
    for (let taken = 0; taken < turn; taken += 1) await Promise.resolve()
    abortedAtMs = clock.monotonicMs()
    controller.abort(reason)
  }
  const aborting = abort()
  const outcome = await stage.outcome(mapper.map(request, { signal: controller.signal }))
  await stage.outcome(aborting)
  const isLate = stage.isVirtual ? ms >= durationMs : outcome.state === 'fulfilled' && outcome.atMs <= abortedAtMs + 5
  const when = `aborted ${ms} ms and ${turn} turns after the call`
  return { stage, request, reason, outcome, abortedAtMs, isLate, when }
}
