import { type MappingEvent, type NatReport, type NeighbourhoodReport, type Report, systemHost } from '@postern/core'
import { anySignal, parseMultiaddr, untilAborted } from '@postern/interface'
import { findNetwork } from '@postern/net'
import { codeOf, exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { nextSteps, withRightGateway } from '../../shared/next-steps.js'
import { line, type Output, unlessAborted } from '../../shared/output.js'
import { stopWithin } from '../../shared/stop.js'
import { colorsFor, formatStrategy } from '../../shared/terminal.js'
import { columnsOf } from '../../shared/wrap-lines.js'
import type { Watched } from '../common.js'
import { examineNeighbourhood, withNeighbourhood } from './neighbourhood/neighbourhood.js'
import { withProtocols } from './protocols.js'
import { prepareReportFile } from './report-file.js'
import type { Shown } from './shown.js'
import { describe, whyNotAsked } from './text.js'
import type { NamedWitness, OpenTrial, Trial } from './trial.js'
import { answered, bounded, untilDecided, untilObserved } from './wait-for.js'
import { codeOfWitnesses, withWitnessAdvice } from './witness-advice.js'

/** The options of {@link doctor}. */
export interface DoctorOptions {
  readonly openTrial: OpenTrial
  readonly json: boolean
  /** Whether to only discover, and map nothing. */
  readonly dryRun: boolean
  /** Whether to report after the first pass, without waiting for slow routers. */
  readonly quick: boolean
  /** The text of `--via`. */
  readonly via: string
  /** The port to try; undefined for a free one. */
  readonly port: number | undefined
  /** The file for the report as a page; undefined for none. */
  readonly html?: string | undefined
  /** Serves a page about the trial, which then goes on until it is interrupted.
   * @default there is none, and the trial ends with the report */
  readonly watched?: Watched | undefined
}

/** The time limit for starting, in ms: opening sockets and reading a store take less. */
const startMs = 5000
/** How long to wait for the first pass, in ms. A strategy that needs longer still has until {@link answerMs}. */
const patienceMs = 10_000
/** How long to wait for slow routers, from the start, in ms. One that takes 10 s to answer is slow, not absent. */
const answerMs = 15_000
/** The time limit for requesting the mapping again, in ms: renewals are 4 s apart (RFC 6887 §11.2.1), and one may take
 * 2 s. */
const readBackMs = 6500
/** How long a connection to the own external address may take to arrive, in ms: it goes to the router and back. */
const hairpinMs = 1500

/** Finds out how reachable this host is. Resolves to the exit code. */
export async function doctor(
  { openTrial, json, dryRun, quick, via, port, html, watched }: DoctorOptions,
  { out, err }: Output
): Promise<number> {
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const progress = colorsFor(err)
  const network = await findNetwork({ signal }).catch(unlessAborted(signal))
  if (network === undefined) {
    line(err, 'Interrupted; nothing was mapped.')
    interrupt.done()
    return exitCodes.unknown
  }
  const trial = await openTrial(network)
  // If both are the same terminal, the table at the end would repeat it.
  const showsProgress = err.isTTY === true && out.isTTY !== true
  if (!json) {
    line(err, progress.dim(dryRun ? 'Looking, and changing nothing …' : 'Trying with a port of this program …'))
    trial.addEventListener('strategy', ({ detail }) => {
      if (detail.tookMs !== null && showsProgress) line(err, `  ${formatStrategy(detail, progress)}`)
    })
  }
  let report: Report
  let shown: Shown = { readBack: undefined, hairpin: 'unknown' }
  let neighbourhood: NeighbourhoodReport | undefined
  let witnesses: readonly NamedWitness[] = []
  const complete = (): Report => {
    const seen = withHairpin(trial.report(), shown)
    const portable = port === undefined ? withoutTrialPort(seen) : seen
    const found = withRightGateway(dryRun ? withoutPortAdvice(portable) : portable, via, network)
    const asked = withProtocols(withWitnessAdvice(found, trial.witnesses()), trial.udp?.() ?? 'untried')
    return withNeighbourhood(asked, neighbourhood, port)
  }
  const source = { report: complete, addEventListener: trial.addEventListener }
  try {
    const file = html === undefined ? undefined : await prepareReportFile(html, source)
    await watched?.(source)
    const began = systemHost.clock.monotonicMs()
    // Map nothing if the user interrupted while the trial was being opened.
    if (!signal.aborted) await bounded(trial.start(), startMs, signal)
    await bounded(trial.settled(), patienceMs, signal)
    const told = (text: string): void => {
      if (!json) line(err, progress.dim(text))
    }
    if (!quick)
      await bounded(answered(trial, answerMs, told), began + answerMs - systemHost.clock.monotonicMs(), signal)
    const [first] = trial.witnesses()
    const isAsking = first !== undefined
    if (isAsking && !json) {
      const asked = first.option === '--peer' ? 'the peers to dial' : 'the witnesses to connect to'
      line(err, progress.dim(`Asking ${asked} this port from outside …`))
    }
    const [examined, around] = await Promise.all([
      dryRun || signal.aborted ? shown : examine(trial, began + answerMs - systemHost.clock.monotonicMs(), signal),
      examineNeighbourhood({ trial, network, port }, { signal }),
      isAsking ? untilDecided(trial, began, signal) : undefined,
      untilObserved(trial, began, signal)
    ])
    shown = examined
    neighbourhood = around
    witnesses = trial.witnesses()
    report = complete()
    // Before the mapping is released, which takes a slow router as long as granting it.
    if (json) {
      // The report contains only the peers that answered.
      for (const named of witnesses) {
        const why = whyNotAsked(named)
        if (why !== null) line(err, `! ${named.peer} is ${why}`)
      }
      line(out, JSON.stringify(report))
    } else {
      const asked = witnesses.map(({ option, peer }) => `${option} ${peer}`)
      const steps = nextSteps(report, { command: 'doctor', via, network, port, asked })
      const columns = columnsOf(out)
      line(out, describe({ report, shown, witnesses, dryRun, steps, columns }, colorsFor(out)))
    }
    await file?.write(report, err)
    if (watched !== undefined && !signal.aborted) {
      if (!json) line(err, progress.dim('Watching. Ctrl-C releases everything and ends.'))
      await untilAborted(signal)
    }
  } finally {
    await stopWithin(trial, err)
    interrupt.done()
  }
  if (signal.aborted && !json) line(err, 'Interrupted; what was mapped is released.')
  return codeOfWitnesses(report, witnesses) ?? codeOf(report.verdict)
}

/** Requests the mapping again, which shows whether it is still the same, and dials it from inside. A router that was slow to
 * answer gets only the rest of the time. */
async function examine(trial: Trial, leftMs: number, signal: AbortSignal): Promise<Shown> {
  const isTcp = (address: string): boolean => parseMultiaddr(address)?.protocol === 'tcp'
  const all = trial.report().candidates.filter(({ type, address }) => type === 'mapped' && isTcp(address))
  // Behind two routers in a row the outer one has the external address.
  const mapped = all.find(({ through }) => through !== undefined) ?? all[0]
  if (mapped === undefined) return { readBack: undefined, hairpin: 'unknown' }
  const answer = Promise.withResolvers<MappingEvent>()
  for (const name of ['renewed', 'changed', 'lost'] as const) {
    trial.addEventListener(name, ({ detail }) => {
      if (detail.protocol !== 'udp') answer.resolve(detail)
    })
  }
  trial.recheck()
  const external = parseMultiaddr(mapped.address)
  const [event, hairpin] = await Promise.all([
    bounded(answer.promise, Math.max(hairpinMs, Math.min(readBackMs, leftMs)), signal),
    external?.family === 4 ? dialOurselves(trial, external.address, external.port, signal) : ('unknown' as const)
  ])
  const readBack =
    event === undefined ? undefined : event.event === 'renewed' ? 'same' : event.event === 'lost' ? 'lost' : 'other'
  return { readBack, hairpin }
}

/** Tests hairpinning: whether the router returns connections to its own external address (RFC 4787 §6). This does not
 * show reachability from outside. */
async function dialOurselves(
  trial: Trial,
  address: string,
  port: number,
  signal: AbortSignal
): Promise<NatReport['hairpin']> {
  const over = new AbortController()
  const call = { signal: anySignal([signal, over.signal]) }
  const outcome = await bounded(trial.arrives(address, port, call), hairpinMs, signal)
  over.abort()
  if (outcome === true) return 'works'
  // After an interruption, the test was too short for a result.
  return signal.aborted ? 'unknown' : 'fails'
}

/** Removes the advice about a missing port, because `--dry-run` opens none on purpose. */
const withoutPortAdvice = (report: Report): Report => ({
  ...report,
  advice: report.advice.filter((text) => !text.startsWith('No port of this program listens'))
})

/** Removes the number of the port from the advice to forward it, because the next run tries another free one. */
const withoutTrialPort = (report: Report): Report => ({
  ...report,
  advice: report.advice.map((text) =>
    text.replaceAll(
      /(?:TCP|UDP) port (\d+) to ([^,]+), port \1(?:, and (?:TCP|UDP) port \d+ to \2, port \d+)*,/g,
      'a port to $2'
    )
  )
})

const withHairpin = (report: Report, { hairpin }: Shown): Report =>
  hairpin === 'unknown' ? report : { ...report, nat: { mapping: null, filtering: null, ...report.nat, hairpin } }
