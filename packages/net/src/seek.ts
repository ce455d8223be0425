import { anySignal, type CallOptions, type Clock, isNatError, type NatError } from '@postern/interface'
import { type AnnouncementsOptions, hearAnnouncements } from './announcements.js'
import { spacedHints, untilAborted } from './hints.js'
import { type TaskGroup, taskGroup } from './task-group.js'

export interface SeekOptions {
  readonly clock: Clock
  /** Asks the service whether it is there, waiting so long after each sending. What it finds, and that it is absent, is
   * its own to tell. Rejects with the reason for absence. */
  readonly ask: (waitsMs: readonly number[], call: CallOptions) => Promise<void>
  /** Whether the service is known at present. */
  readonly isFound: () => boolean
  /** Told when a known service has announced itself and has answered the question that follows. A service that has lost what
   * it granted may go on with its old epoch, so the answer alone does not show it. */
  readonly announced?: () => void
  /** The whole schedule. */
  readonly waitsMs: readonly number[]
  /** Where the service announces itself. */
  readonly announcements: Omit<AnnouncementsOptions, 'heard'>
}

/** Silence for so many sendings is worth telling, while the others go on. */
const provisionalSendings = 2
/** What is asked after an announcement. A service that is known gets less time, because requests wait meanwhile. */
const hintSendings = { known: 2, unknown: 4 }
/** A service that has just announced itself and does not answer is asked again after these pauses: datagrams are lost, and
 * nothing else may tell for a long time. */
const hintPausesMs = [1000, 2000, 4000]
/** Answers, or none, after which it makes sense to go on asking: nobody has said that the service is not there. */
const undecided: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'UNREACHABLE'])

/**
 * Looks for a service that answers one question and announces itself, as NAT-PMP and PCP do, until the signal aborts or
 * nothing more can come: asks on the whole schedule, and again whenever it announces itself. An announcement cuts a long
 * wait short.
 */
export async function seek(options: SeekOptions, call: CallOptions): Promise<void> {
  try {
    await taskGroup(call, (group) => seekUntil(options, group))
  } catch (error) {
    if (!call.signal.aborted) throw error
  }
}

async function seekUntil(options: SeekOptions, { signal, fail }: TaskGroup): Promise<void> {
  const { clock, ask, isFound, announced, waitsMs, announcements } = options
  let reason: NatError | undefined
  let patience: AbortController | undefined

  async function probe(waits: readonly number[], call: CallOptions): Promise<void> {
    try {
      await ask(waits, call)
      reason = undefined
    } catch (error) {
      if (call.signal.aborted) return
      if (!isNatError(error)) throw error
      reason = error
    }
  }
  const hinted = async (): Promise<void> => {
    // RFC 6887 §7.4: a NAT between us and the router does not go away because the router says something.
    if (reason?.code === 'ADDRESS_MISMATCH') return
    patience?.abort()
    if (!isFound()) return probe(waitsMs.slice(0, hintSendings.unknown), { signal })
    for (const pauseMs of [0, ...hintPausesMs]) {
      if (pauseMs > 0) await clock.sleep(pauseMs, { signal }).catch(() => undefined)
      if (signal.aborted) return
      await probe(waitsMs.slice(0, hintSendings.known), { signal })
      if (reason === undefined && isFound()) announced?.()
      if (reason?.code !== 'NO_REPLY') return
    }
  }
  const hints = spacedHints(hinted, clock, { signal }, fail)
  const isUndecided = (): boolean => !isFound() && !signal.aborted && undecided.has(reason?.code ?? 'NO_REPLY')

  async function wholeSchedule(): Promise<void> {
    await probe(waitsMs.slice(0, provisionalSendings), { signal })
    let again = true
    while (again && isUndecided()) {
      patience = new AbortController()
      await probe(waitsMs.slice(provisionalSendings), { signal: anySignal([signal, patience.signal]) })
      again = patience.signal.aborted
      if (again) await hints.settled()
    }
    patience = undefined
  }

  try {
    const hearing = hearAnnouncements({ ...announcements, heard: hints.take }, { signal })
    const [hears] = await Promise.all([hearing, wholeSchedule()])
    // What was found goes on telling what the answers to its requests reveal.
    if (hears || isFound()) await untilAborted(signal)
  } catch (error) {
    if (!signal.aborted) fail(error)
  }
  await hints.settled()
}
