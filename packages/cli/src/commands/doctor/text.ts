import type { Report } from '@postern/core'
import { formatDevice } from '@postern/interface'
import { describeNext } from '../../shared/next-steps.js'
import { type Colors, formatStrategies, formatVerdict, wrap } from '../../shared/terminal.js'
import { neighbourhoodLines } from './neighbourhood/neighbourhood.js'
import { protocolLines, publicOver } from './protocols.js'
import type { Shown } from './shown.js'
import type { NamedWitness } from './trial.js'

/** The findings of `postern doctor`. */
export interface Findings {
  readonly report: Report
  readonly shown: Shown
  readonly witnesses: readonly NamedWitness[]
  readonly dryRun: boolean
  /** The way in, drawn with characters.
   * @default it is left out */
  readonly picture?: string
  /** Command lines to run next. */
  readonly steps?: readonly string[]
  /** The width of the terminal; undefined if lines are not wrapped. */
  readonly columns?: number | undefined
}

const readBackText = {
  same: 'asked again, and the mapping is the same',
  other: 'asked again, and the mapping became another one',
  lost: 'asked again, and the mapping was gone'
} as const

/** Formats the findings as text. */
export function describe(
  { report, shown, witnesses, dryRun, picture, steps = [], columns }: Findings,
  colors: Colors
): string {
  const { verdict, cause, gateway, externalAddresses, candidates, advice } = report
  const waits = waitText(report.strategies)
  const isFinal = waits === '' || verdict === 'public'
  const { protocols } = report
  const over = protocols === undefined ? undefined : publicOver(protocols)
  const heading = formatVerdict({ verdict, cause }, colors, isFinal ? 'Verdict:' : 'So far:')
  const lines = [over === undefined ? heading : `${heading} ${over}`]
  if (protocols !== undefined) lines.push(...protocolLines(protocols))
  if (!isFinal) lines.push(`Waiting: ${waits}`)
  if (picture !== undefined) lines.push('', picture, '')
  lines.push(`Gateway: ${gateway === null ? 'none, there is no default route' : gatewayText(gateway)}`)
  for (const address of externalAddresses) {
    const state = candidates.find((candidate) => candidate.address === address)?.state
    lines.push(`Address: ${address} (${state})`)
  }
  if (report.strategies.some(({ kind }) => kind === 'observer')) lines.push(`NAT: ${natText(report)}`)
  for (const witness of witnesses) {
    for (const answer of answersOf(witness, report)) lines.push(`Witness: ${witness.peer}: ${answer}`)
  }
  if (shown.readBack !== undefined) lines.push(`Mapping: ${readBackText[shown.readBack]}`)
  if (shown.hairpin !== 'unknown') lines.push(`Hairpin: ${shown.hairpin} (from inside; says nothing of outside)`)
  lines.push('', formatStrategies(report.strategies, colors, columns))
  const around = report.neighbourhood === undefined ? [] : neighbourhoodLines(report.neighbourhood)
  if (around.length > 0) lines.push('', colors.bold('Neighbourhood'), ...around.map((text) => wrap(text, columns)))
  if (advice.length > 0) lines.push('', ...advice.map((text) => `${colors.cyan('→')} ${wrap(text, columns)}`))
  if (steps.length > 0) lines.push(...describeNext(steps, colors))
  if (dryRun) lines.push('', colors.dim('Nothing was mapped (--dry-run), so what a router would grant is not known.'))
  return lines.join('\n')
}

/** Formats the default route, what it leads to, and how the router names itself. */
const gatewayText = ({ address, interface: link, description, device }: NonNullable<Report['gateway']>): string =>
  [
    `${address} on ${link}`,
    ...(description === null ? [] : [description]),
    ...(device === undefined ? [] : [`which calls itself ${formatDevice(device)}`])
  ].join(', ')

/** Returns which strategies still wait for an answer; empty if none does. */
export const waitText = (strategies: Report['strategies']): string =>
  strategies
    .flatMap(({ name, waitingFor }) =>
      waitingFor === undefined
        ? []
        : [
            waitingFor === 'search'
              ? `${name} (an answer to its search)`
              : `${name} (an answer to its request for a mapping)`
          ]
    )
    .join(', ')

/** Formats the NAT behaviour that STUN servers have shown. */
function natText({ nat, strategies }: Report): string {
  if (nat?.mapping == null && nat?.filtering == null) {
    const isSilent = strategies.every(({ kind, state }) => kind !== 'observer' || state !== 'active')
    return isSilent ? 'unknown, no STUN server was of use' : 'unknown, one address of one STUN server does not show it'
  }
  return `mapping ${nat.mapping ?? 'unknown'}, filtering ${nat.filtering ?? 'unknown'} (UDP, as STUN servers see it)`
}

const outcomeText = {
  reachable: 'reached it from outside',
  unreachable: 'could not reach it',
  inconclusive: 'did not say'
} as const

const whyUnclear = (outcome: keyof typeof outcomeText, { unclear }: NamedWitness): string =>
  outcome === 'inconclusive' && unclear !== undefined ? `: ${unclear}` : ''

/** Returns why a peer could not be asked; null if it could. */
export function whyNotAsked({ failure, isWitness }: NamedWitness): string | null {
  if (failure !== null) return `not connected: ${failure}`
  return isWitness ? null : 'not asked: it does not offer AutoNAT v2 (`postern relay` does)'
}

/** Returns the answer of a peer about each address, or why there is none. */
export function answersOf(named: NamedWitness, { candidates }: Report): readonly string[] {
  const answers = candidates.flatMap(({ address, evidence }) =>
    evidence
      .filter(({ party }) => party === named.id)
      .map(({ outcome }) => `${outcomeText[outcome]} (${address})${whyUnclear(outcome, named)}`)
  )
  if (answers.length > 0) return answers
  const why = whyNotAsked(named)
  if (why !== null) return [why]
  const wereOthersAsked = candidates.some(({ evidence }) => evidence.length > 0)
  if (wereOthersAsked) return ['not asked, or no answer: others were enough']
  return [candidates.length === 0 ? 'not asked: no address is known that it could try' : 'not asked']
}
