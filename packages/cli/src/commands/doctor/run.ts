import { type NeighbourhoodReport, type Report, systemHost } from '@postern/core'
import { anySignal, untilAborted } from '@postern/interface'
import { findNetwork } from '@postern/net'
import { activityOf } from '../../shared/activity.js'
import { codeOf, exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { type LiveLine, noLiveLine } from '../../shared/live-line.js'
import { nextSteps, withRightGateway } from '../../shared/next-steps.js'
import { line, type Output, unlessAborted } from '../../shared/output.js'
import { stopWithin } from '../../shared/stop.js'
import { colorsFor, drawsBoxes, formatStrategy } from '../../shared/terminal.js'
import { columnsOf } from '../../shared/wrap-lines.js'
import type { Watched } from '../common.js'
import { examine } from './examine.js'
import type { LookAround } from './neighbourhood/look-around.js'
import { examineNeighbourhood, withNeighbourhood } from './neighbourhood/neighbourhood.js'
import { createPending } from './pending.js'
import type { DrawOptions } from './picture/draw-picture.js'
import { withProtocols } from './protocols.js'
import { prepareReportFile } from './report-file.js'
import type { Shown } from './shown.js'
import { describe, whyNotAsked } from './text.js'
import type { NamedWitness, OpenTrial } from './trial.js'
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
  /** Says what is being done.
   * @default nothing does */
  readonly live?: LiveLine
  /** Serves a page about the trial, which then goes on until it is interrupted.
   * @default there is none, and the trial ends with the report */
  readonly watched?: Watched | undefined
  /** Looks at the network around this machine.
   * @default nothing but the trial */
  readonly lookAround?: LookAround | undefined
}

/** The time limit for starting, in ms: opening sockets and reading a store take less. */
const startMs = 5000
/** How long to wait for the first pass, in ms. A strategy that needs longer still has until {@link answerMs}. */
const patienceMs = 10_000
/** How long to wait for slow routers, from the start, in ms. One that takes 10 s to answer is slow, not absent. */
const answerMs = 15_000
/** Finds out how reachable this host is. Resolves to the exit code. */
export async function doctor(
  { openTrial, json, dryRun, quick, via, port, html, live = noLiveLine, watched, lookAround }: DoctorOptions,
  { out, err }: Output
): Promise<number> {
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const progress = colorsFor(err)
  live.show('Looking at the network of this machine')
  const network = await findNetwork({ signal }).catch(unlessAborted(signal))
  if (network === undefined) {
    live.hide()
    line(err, 'Interrupted; nothing was mapped.')
    interrupt.done()
    return exitCodes.unknown
  }
  live.show('Opening a port')
  const trial = await openTrial(network)
  // If both are the same terminal, the table at the end would repeat it.
  const showsProgress = err.isTTY === true && out.isTTY !== true
  const told = (text: string): void => {
    if (!json && !live.isOn) line(err, progress.dim(text))
  }
  told(dryRun ? 'Looking, and changing nothing …' : 'Trying with a port of this program …')
  trial.addEventListener('strategy', live.refresh)
  if (!json) {
    trial.addEventListener('strategy', ({ detail }) => {
      if (detail.tookMs !== null && showsProgress) line(err, `  ${formatStrategy(detail, progress)}`)
    })
  }
  const ending = new AbortController()
  const look = lookAround?.(network, { signal: anySignal([signal, ending.signal]) })
  let report: Report
  let shown: Shown = { readBack: undefined, hairpin: 'unknown' }
  let neighbourhood: NeighbourhoodReport | undefined
  let witnesses: readonly NamedWitness[] = []
  const complete = (): Report => {
    const seen = withHairpin(trial.report(), shown)
    const portable = port === undefined ? withoutTrialPort(seen) : seen
    const found = withRightGateway(dryRun ? withoutPortAdvice(portable) : portable, via, network)
    const asked = withProtocols(withWitnessAdvice(found, trial.witnesses()), trial.udp?.() ?? 'untried')
    return withNeighbourhood(asked, { neighbourhood, look, port })
  }
  const source = { report: complete, addEventListener: trial.addEventListener }
  try {
    const file = html === undefined ? undefined : await prepareReportFile(html, source)
    await watched?.(source)
    const began = systemHost.clock.monotonicMs()
    live.show(() => activityOf(trial.report()) ?? { doing: dryRun ? 'Looking for routers' : 'Trying the port' })
    // Map nothing if the user interrupted while the trial was being opened.
    if (!signal.aborted) await bounded(trial.start(), startMs, signal)
    await bounded(trial.settled(), patienceMs, signal)
    if (!quick)
      await bounded(answered(trial, answerMs, told), began + answerMs - systemHost.clock.monotonicMs(), signal)
    const [first] = trial.witnesses()
    const isAsking = first !== undefined
    if (isAsking) {
      const asked = first.option === '--peer' ? 'the peers to dial' : 'the witnesses to connect to'
      told(`Asking ${asked} this port from outside …`)
    }
    const examiningAround = examineNeighbourhood({ trial, network, port, look }, { signal })
    const { during, first: waitedFor } = createPending()
    const decided = isAsking
      ? during('Waiting for connections from outside', untilDecided(trial, began, signal))
      : undefined
    const observing = untilObserved(trial, began, signal)
    const hasObservers = trial.report().strategies.some(({ kind }) => kind === 'observer')
    const observed = hasObservers ? during('Asking the STUN servers', observing) : observing
    if (!dryRun && !signal.aborted) {
      const leftMs = began + answerMs - systemHost.clock.monotonicMs()
      const examining = examine(trial, leftMs, signal)
      const hasMapping = trial.report().candidates.some(({ type }) => type === 'mapped')
      const examined = hasMapping ? during('Asking the router for the mapping again', examining) : examining
      live.show(waitedFor)
      shown = await examined
    }
    live.show(waitedFor)
    const [around] = await Promise.all([examiningAround, decided, observed])
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
      const colors = colorsFor(out)
      const picture = await pictureIn(report, { columns, isUnicode: drawsBoxes(out), colors })
      line(out, describe({ report, shown, witnesses, dryRun, picture, steps, columns }, colors))
    }
    await file?.write(report, err)
    if (watched !== undefined && !signal.aborted) {
      live.hide()
      if (!json) line(err, progress.dim('Watching. Ctrl-C releases everything and ends.'))
      await untilAborted(signal)
    }
  } finally {
    live.show(dryRun ? 'Ending' : signal.aborted ? 'Interrupted; releasing the port' : 'Releasing the port')
    ending.abort()
    await stopWithin(trial, err)
    live.hide()
    interrupt.done()
  }
  if (signal.aborted && !json) line(err, 'Interrupted; what was mapped is released.')
  return codeOfWitnesses(report, witnesses) ?? codeOf(report.verdict)
}

/** Resolves to the way in, drawn with characters. Only then is the package loaded that knows the picture. */
async function pictureIn(report: Report, options: DrawOptions): Promise<string> {
  const [{ pictureOf }, { drawPicture }] = await Promise.all([
    import('@postern/status'),
    import('./picture/draw-picture.js')
  ])
  return drawPicture(pictureOf(report), options)
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
