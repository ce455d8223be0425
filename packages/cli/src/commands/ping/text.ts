import { parseMultiaddr } from '@postern/interface'
import { type Colors, formatMs, formatSocket } from '../../shared/terminal.js'
import type { Upgraded } from '../tunnel/connections.js'
import type { Pinged } from './pings.js'

/** The smallest, mean and largest round-trip time, in ms. */
export interface Times {
  readonly answers: number
  readonly minMs: number
  readonly meanMs: number
  readonly maxMs: number
}

/** The last line of `postern ping`. */
export interface Summary {
  readonly event: 'summary'
  readonly peer: string
  /** The number of pings, including those for which the peer could not be reached. */
  readonly pings: number
  readonly answers: number
  /** `direct` as soon as one answer came over a direct connection; `none` without an answer. */
  readonly reached: 'direct' | 'relayed' | 'none'
  readonly direct: Times | null
  readonly relayed: Times | null
  /** Why there is no direct connection, as far as that is known. */
  readonly notDirect: { readonly code: string | null; readonly message: string } | null
  /** What to do next; null if there is nothing. */
  readonly hint: string | null
}

/** Formats the outcome of one ping. */
export function describePinged(pinged: Pinged, peer: string, colors: Colors): string {
  if (pinged.event === 'no-answer') return `${colors.red('✘')} no answer from ${peer}: ${pinged.message}`
  const { via, address, rttMs } = pinged
  const way = via === 'direct' ? `${colors.green(socketOf(address))} (direct)` : `relay ${address}`
  return `pong from ${peer} via ${way} in ${formatMs(rttMs)}`
}

/** What {@link summarize} needs to know besides the answers. */
export interface Circumstances {
  readonly peer: string
  /** The outcome of the last attempt for a direct connection; undefined while it runs, or without one. */
  readonly upgraded: Upgraded | undefined
  readonly relays: readonly string[]
  readonly count: number
}

/** Sums up what the pings have shown. */
export function summarize(pinged: readonly Pinged[], { peer, upgraded, relays, count }: Circumstances): Summary {
  const direct = timesOf(pinged, 'direct')
  const relayed = timesOf(pinged, 'relayed')
  const reached = direct !== null ? 'direct' : relayed !== null ? 'relayed' : 'none'
  const failed = upgraded?.event === 'not-direct' ? upgraded : undefined
  const notDirect = reached === 'direct' || failed === undefined ? null : { code: failed.code, message: failed.message }
  const answers = (direct?.answers ?? 0) + (relayed?.answers ?? 0)
  const hint =
    reached === 'none'
      ? unreachedHint(pinged, peer, relays)
      : reached === 'relayed' && notDirect === null && upgraded === undefined && pinged.length >= count
        ? `the attempt for a direct connection was still running; give it more time: postern ping ${peer}${relays.map((relay) => ` --relay ${relay}`).join('')} --count ${Math.max(40, count * 2)}`
        : null
  return { event: 'summary', peer, pings: pinged.length, answers, reached, direct, relayed, notDirect, hint }
}

/** Formats the summary. */
export function describeSummary(summary: Summary, colors: Colors): string {
  const { peer, pings, answers, reached, direct, relayed, notDirect, hint } = summary
  const times = [
    ...(relayed === null ? [] : [`relayed ${formatTimes(relayed)}`]),
    ...(direct === null ? [] : [`direct ${formatTimes(direct)}`])
  ]
  const lines = [
    `${pings} ${pings === 1 ? 'ping' : 'pings'}, ${answers} ${answers === 1 ? 'answer' : 'answers'}${times.map((each) => `; ${each}`).join('')}`
  ]
  if (reached === 'direct')
    lines.push(`${colors.green('✔')} ${colors.bold('direct')}: there is a direct connection to ${peer}`)
  else if (reached === 'relayed')
    lines.push(
      `${colors.yellow('!')} ${colors.bold('relayed')}: ${peer} answers through a relay only${notDirect === null ? '' : `: ${notDirect.message}`}`
    )
  else if (pings === 0) lines.push(`Interrupted: nothing is known yet of ${peer}`)
  else lines.push(`${colors.red('✘')} ${colors.bold('no answer')} from ${peer}`)
  if (hint !== null) lines.push(`${colors.cyan('→')} ${hint}`)
  return lines.join('\n')
}

function timesOf(pinged: readonly Pinged[], via: 'direct' | 'relayed'): Times | null {
  const times = pinged.flatMap((each) => (each.event === 'pong' && each.via === via ? [each.rttMs] : []))
  if (times.length === 0) return null
  const sum = times.reduce((total, ms) => total + ms, 0)
  const meanMs = Math.round((sum / times.length) * 1000) / 1000
  return { answers: times.length, minMs: Math.min(...times), meanMs, maxMs: Math.max(...times) }
}

const formatTimes = ({ minMs, meanMs, maxMs, answers }: Times): string =>
  answers === 1 ? formatMs(minMs) : `${formatMs(minMs)} / ${formatMs(meanMs)} / ${formatMs(maxMs)} (min / mean / max)`

/** Returns what to do if no ping was answered. */
function unreachedHint(pinged: readonly Pinged[], peer: string, relays: readonly string[]): string | null {
  const last = pinged.findLast((each) => each.event === 'no-answer')
  if (last === undefined) return null
  if (last.code === 'UNSUPPORTED')
    return 'the peer is connected, but has no ping protocol (/ipfs/ping/1.0.0): every node of Postern has it'
  const [relay] = relays
  if (relay === undefined)
    return `check that the peer runs at this address, or name a relay that it uses: postern ping ${peer} --relay <multiaddr>`
  if (/NO_RESERVATION/.test(last.message))
    return `the relay knows no such peer now. Name every relay that the peer uses, or start the peer with this one: postern peer --relay ${relay}`
  return `check that the relay runs (postern relay, on its machine), and that the peer uses it: postern peer --relay ${relay}`
}

function socketOf(address: string): string {
  const parsed = parseMultiaddr(address)
  return parsed === undefined ? address : formatSocket(parsed)
}
