import type { MappingEvent, Report } from '@postern/core'
import { formatMultiaddr } from '@postern/interface'
import { isRefusedForLowPort, lowPortReason } from './low-ports.js'
import { describeNext } from './next-steps.js'
import { line, type Output } from './output.js'
import { colorsFor, formatEvent, formatKept, formatVerdict } from './terminal.js'

export interface MapVoiceOptions {
  readonly report: () => Report
  /** The external port that is asked for. */
  readonly requestedPort: number
  /** The port below 1024 that the mapping has, if it has one. */
  readonly lowPort: number | undefined
  readonly once: boolean
  readonly json: boolean
  /** Whether the command has been told to end: what is released then is no news of this machine. */
  readonly isOver: () => boolean
  /** What to do next, as command lines, by the report. */
  readonly nextSteps: (report: Report) => readonly string[]
}

/** What `postern map` says: every event, and what is concluded from it. */
export interface MapVoice {
  event(event: MappingEvent): void
  /** The report has changed, or an event was told a moment ago: at that very moment nothing is known against its address. */
  look(): void
  /** Whether an event is held back until it is known what it is worth. */
  readonly isHolding: () => boolean
  /** Says what is held back, and the conclusion. */
  finish(): void
}

/** What is written for a program: the event, and more about it. */
type JsonLine = MappingEvent &
  Partial<Pick<Report, 'verdict' | 'cause' | 'advice'>> & { readonly requestedPort?: number }

/** For people, a mapping is told when it is known whether anything speaks against it: a tick is a promise. For programs
 * it is told at once, and what is concluded in a line of its own; with `--once` both are one line. */
export function createMapVoice(options: MapVoiceOptions, { out }: Output): MapVoice {
  const { report, requestedPort, lowPort, once, json, isOver, nextSteps } = options
  const colors = colorsFor(out)
  const held: MappingEvent[] = []
  let hasSpoken = false
  let concluded = ''

  const holds = ({ event }: MappingEvent): boolean => (json ? once : event === 'mapped' || event === 'changed')

  function say(event: MappingEvent): void {
    hasSpoken = true
    const { external } = event
    const isGrant = event.event === 'mapped' || event.event === 'changed'
    const isKept = event.event === 'shared' && isOver()
    const isOther = isGrant && external !== null && external.port !== requestedPort
    if (json) {
      const { verdict, cause, advice } = report()
      const told: JsonLine = {
        ...event,
        ...(isOther ? { requestedPort } : {}),
        ...(once ? { verdict, cause, advice } : {})
      }
      return line(out, JSON.stringify(told))
    }
    if (lowPort !== undefined && isRefusedForLowPort(event)) {
      line(out, `${formatEvent({ ...event, reasons: [] }, colors)}: ${lowPortReason(lowPort)}`)
    } else if (isKept) line(out, formatKept(event))
    else line(out, formatEvent(event, colors, isGrant && !isBelieved(event, report())))
    if (isOther) {
      line(out, `${colors.yellow('!')} port ${requestedPort} was asked for, and the router gave port ${external.port}`)
    }
  }

  function conclude(): void {
    if (isOver() || !hasSpoken) return
    const { verdict, cause, advice } = report()
    const text = JSON.stringify([verdict, cause, advice])
    if (text === concluded) return
    concluded = text
    if (!json) {
      line(out, formatVerdict(report(), colors))
      for (const each of advice) line(out, `${colors.cyan('→')} ${each}`)
      for (const each of describeNext(nextSteps(report()), colors)) line(out, each)
    } else if (!once) line(out, JSON.stringify({ event: 'verdict', verdict, cause, advice }))
  }

  function release(): void {
    for (const event of held.splice(0)) say(event)
  }

  function look(): void {
    if (held.some((event) => isUndecided(event, report()))) return
    release()
    if (report().verdict !== 'unknown') conclude()
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

const isBelieved = (event: MappingEvent, report: Report): boolean =>
  ['consistent', 'verified'].includes(candidateOf(event, report)?.state ?? '')

/** The address is being looked at: nothing is known for or against it. */
const isUndecided = (event: MappingEvent, report: Report): boolean => {
  const state = candidateOf(event, report)?.state
  return report.verdict === 'unknown' || (state === 'claimed' && report.cause === null)
}
