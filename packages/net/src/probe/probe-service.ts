import { anySignal, type CallOptions, type Clock, isNatError, type NatError, untilAborted } from '@postern/interface'
import { type TaskGroup, taskGroup } from '../async/task-group.js'
import { type AnnouncementsOptions, hearAnnouncements } from '../udp/announcements.js'
import { spacedHints } from './hints.js'

/** The options of {@link seek}. */
export interface SeekOptions {
  /** The clock for the pauses. */
  readonly clock: Clock
  /** Asks the service whether it is present, with the given waits after each transmission. Reports what it finds, and
   * absence, by itself. Rejects with the reason for absence. */
  readonly ask: (waitsMs: readonly number[], call: CallOptions) => Promise<void>
  /** Returns whether the service is found at present. */
  readonly isFound: () => boolean
  /** Called when a known service has announced itself and has answered the question that followed. A service that lost
   * its mappings may continue with its old epoch, so the answer alone does not show the loss.
   * @default none */
  readonly announced?: () => void
  /** The complete retransmission schedule, in ms. */
  readonly waitsMs: readonly number[]
  /** Where to listen for announcements of the service. */
  readonly announcements: Omit<AnnouncementsOptions, 'heard'>
}

/** After this many transmissions without an answer, absence is reported while the rest of the schedule continues. */
const provisionalSendings = 2
/** The number of transmissions after an announcement. A known service gets fewer, because requests wait meanwhile. */
const hintSendings = { known: 2, unknown: 4 }
/** The pauses after which a service that announced itself and did not answer is asked again, in ms: datagrams get lost,
 * and the next announcement may be far away. */
const hintPausesMs = [1000, 2000, 4000]
/** The errors after which the search continues: none of them says that the service is absent. */
const undecided: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'UNREACHABLE'])

/**
 * Searches for a service that answers one question and announces itself, as NAT-PMP and PCP do. Asks on the complete
 * schedule, and again whenever the service announces itself; an announcement ends a long wait early.
 *
 * Resolves when the signal aborts, or when nothing more can be found. Rejects with an error that is not a NatError,
 * from `ask` or `announced`.
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
    // RFC 6887 §7.4: a NAT between this host and the router does not disappear when the router announces itself.
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
    // A mapper that was found still reports what the answers to its requests reveal.
    if (hears || isFound()) await untilAborted(signal)
  } catch (error) {
    if (!signal.aborted) fail(error)
  }
  await hints.settled()
}
