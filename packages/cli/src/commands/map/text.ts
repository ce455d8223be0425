import type { CandidateReport, MappingEvent, Report } from '@postern/core'
import { formatMultiaddr } from '@postern/interface'
import { isRefusedForLowPort, lowPortReason } from '../../shared/low-ports.js'
import { describeNext } from '../../shared/next-steps.js'
import { line, type Output } from '../../shared/output.js'
import { colorsFor, formatEvent, formatKept, formatVerdict } from '../../shared/terminal.js'

/** The options of {@link createMapVoice}. */
export interface MapVoiceOptions {
  readonly report: () => Report
  /** The requested external port. */
  readonly requestedPort: number
  /** The port of the mapping that is below 1024, if there is one. */
  readonly lowPort: number | undefined
  readonly once: boolean
  readonly json: boolean
  /** Returns whether the command was told to end; releases are not news then. */
  readonly isOver: () => boolean
  /** Returns the address to paste into a browser; undefined if the service does not answer HTTP. */
  readonly webAddress: (report: Report) => string | undefined
  /** Returns command lines to run next. */
  readonly nextSteps: (report: Report) => readonly string[]
}

/** The output of `postern map`: every event, and the verdict. */
export interface MapVoice {
  /** Writes an event, or holds it back. */
  event(event: MappingEvent): void
  /** Writes the events that are held back if their addresses are checked by now. Called when the report has changed,
   * and a moment after each event. */
  look(): void
  /** Returns whether an event is held back until its address is checked. */
  readonly isHolding: () => boolean
  /** Writes the events that are held back, and the verdict. */
  finish(): void
}

/** A line of JSON: the event with additional members. */
type JsonLine = MappingEvent &
  Partial<Pick<Report, 'verdict' | 'cause' | 'advice'>> & { readonly requestedPort?: number; readonly url?: string }

/** Creates the output of `postern map`. As text, a mapping is written when its address has been checked, because a tick
 * is a promise. As JSON, it is written at once, and the verdict in another line; with `--once` both are one line. */
export function createMapVoice(options: MapVoiceOptions, { out }: Output): MapVoice {
  const { report, requestedPort, lowPort, once, json, isOver, nextSteps, webAddress } = options
  const colors = colorsFor(out)
  const held: MappingEvent[] = []
  let hasSpoken = false
  let concluded = ''
  let shownAddress: string | undefined

  const holds = ({ event }: MappingEvent): boolean => (json ? once : event === 'mapped' || event === 'changed')

  function say(event: MappingEvent): void {
    hasSpoken = true
    const { external } = event
    const isGrant = event.event === 'mapped' || event.event === 'changed'
    const isKept = event.event === 'shared' && isOver()
    const candidate = candidateOf(event, report())
    const isOther = isGrant && external !== null && external.port !== requestedPort
    if (json) {
      const { verdict, cause, advice } = report()
      const told: JsonLine = {
        ...event,
        ...(isOther ? { requestedPort } : {}),
        ...(once ? { verdict, cause, advice, ...urlIn(report()) } : {})
      }
      return line(out, JSON.stringify(told))
    }
    if (lowPort !== undefined && isRefusedForLowPort(event)) {
      line(out, `${formatEvent({ ...event, reasons: [] }, colors)}: ${lowPortReason(lowPort)}`)
    } else if (isKept) line(out, formatKept(event))
    else {
      const isDoubted = isGrant && !isBelieved(candidate)
      line(out, formatEvent(event, colors, { isDoubted, through: candidate?.relay?.party }))
    }
    if (isOther) {
      const [giver, why] =
        candidate?.relay === undefined
          ? ['the router', '']
          : ['the other host', requestedPort < 1024 ? ': most hosts give ports below 1024 to root only' : '']
      line(
        out,
        `${colors.yellow('!')} port ${requestedPort} was asked for, and ${giver} gave port ${external.port}${why}`
      )
    }
  }

  const urlIn = (now: Report): { readonly url?: string } => {
    const url = webAddress(now)
    return url === undefined ? {} : { url }
  }

  function conclude(): void {
    if (isOver() || !hasSpoken) return
    showWebAddress()
    const { verdict, cause, advice } = report()
    const text = JSON.stringify([verdict, cause, advice, json ? webAddress(report()) : undefined])
    if (text === concluded) return
    concluded = text
    if (!json) {
      line(out, formatVerdict(report(), colors))
      for (const each of advice) line(out, `${colors.cyan('→')} ${each}`)
      for (const each of describeNext(nextSteps(report()), colors)) line(out, each)
    } else if (!once) line(out, JSON.stringify({ event: 'verdict', verdict, cause, advice, ...urlIn(report()) }))
  }

  /** Writes the address to paste into a browser, once for each. */
  function showWebAddress(): void {
    const address = webAddress(report())
    if (json || address === undefined || address === shownAddress) return
    shownAddress = address
    line(out, `${colors.cyan('→')} ${colors.bold(address)}`)
  }

  function release(): void {
    for (const event of held.splice(0)) say(event)
  }

  function look(): void {
    // A report before the first event would delay the first request to the router.
    if (held.length === 0 && !hasSpoken) return
    const now = report()
    if (held.some((event) => isUndecided(event, now))) return
    release()
    if (now.verdict !== 'unknown') conclude()
  }

  return {
    event(event) {
      if (holds(event)) held.push(event)
      else {
        release()
        say(event)
      }
    },
    look,
    isHolding: () => held.length > 0,
    finish() {
      release()
      conclude()
    }
  }
}

const candidateOf = ({ external, protocol }: MappingEvent, { candidates }: Report) =>
  external === null
    ? undefined
    : candidates.find(({ address }) => address === formatMultiaddr(external.address, protocol, external.port))

const isBelieved = (candidate: CandidateReport | undefined): boolean =>
  ['consistent', 'verified'].includes(candidate?.state ?? '')

/** Returns whether the address is still being checked. */
const isUndecided = (event: MappingEvent, report: Report): boolean => {
  const state = candidateOf(event, report)?.state
  return report.verdict === 'unknown' || (state === 'claimed' && report.cause === null)
}
