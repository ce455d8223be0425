import type { MappingEvent, Report, StrategyReport } from '@postern/core'
import { isWildcard, printable } from '@postern/interface'
import pc from 'picocolors'

/** The colours of a stream; none for a pipe, or with NO_COLOR. */
export type Colors = ReturnType<typeof pc.createColors>

/** Returns the colours for a stream. */
export const colorsFor = (stream: { readonly isTTY?: boolean }): Colors => {
  const forced = process.env['FORCE_COLOR'] !== undefined && process.env['FORCE_COLOR'] !== '0'
  const refused =
    (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb' || process.argv.includes('--no-color')
  return pc.createColors(!refused && (forced || stream.isTTY === true))
}

/** Returns whether to draw with box-drawing characters: in a terminal with colours and a UTF-8 locale. The terminals of Windows
 * have no such locale, and show them. */
export function drawsBoxes(
  stream: { readonly isTTY?: boolean },
  { env, platform }: Pick<NodeJS.Process, 'env' | 'platform'> = process
): boolean {
  if (stream.isTTY !== true || !colorsFor(stream).isColorSupported) return false
  // The first one that is set and not empty counts (POSIX.1-2024, XBD §8.2).
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((each) => each !== undefined && each !== '')
  return platform === 'win32' || /utf-?8/i.test(locale ?? '')
}

/** Formats a time in ms; empty for null. */
export const formatMs = (ms: number | null): string =>
  ms === null ? '' : ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`

/** Formats a lifetime: `for 2 h`, `for 90 s`, `for good`. */
export function formatSeconds(seconds: number | null): string {
  if (seconds === null) return 'for good'
  if (seconds >= 7200 && seconds % 3600 === 0) return `for ${seconds / 3600} h`
  if (seconds >= 120 && seconds % 60 === 0) return `for ${seconds / 60} min`
  return `for ${Math.round(seconds)} s`
}

/** Formats an address and a port, with brackets for IPv6. */
export const formatSocket = ({ address, port }: { readonly address: string; readonly port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

/** Formats the verdict with its cause. */
export function formatVerdict(
  { verdict, cause }: Pick<Report, 'verdict' | 'cause'>,
  colors: Colors,
  label = 'Verdict:'
): string {
  const paint = verdict === 'public' ? colors.green : verdict === 'private' ? colors.red : colors.yellow
  return `${colors.bold(label)} ${paint(colors.bold(verdict))}${cause === null ? '' : ` (${cause})`}`
}

/** Formats an internal endpoint; only the port for a wildcard, which means every address of this host. */
const formatInternal = (internal: MappingEvent['internal']): string =>
  isWildcard(internal.address) ? `port ${internal.port}` : formatSocket(internal)

/** Formats an external endpoint; only the port if the router does not tell its address. */
const formatExternal = (external: NonNullable<MappingEvent['external']>): string =>
  isWildcard(external.address) ? `port ${external.port} of the router` : formatSocket(external)

/** What the report knows about the address of an event. */
export interface EventAddress {
  /** Whether the granted address is doubtful. */
  readonly isDoubted?: boolean
  /** The party of the relay or forwarder that the address leads through. */
  readonly through?: string | undefined
}

/** Formats an event: one line, and one more for each reason. */
export function formatEvent(
  event: MappingEvent,
  colors: Colors,
  { isDoubted = false, through }: EventAddress = {}
): string {
  const { external, internal, protocol, reasons = [], through: nextHop } = event
  const before = nextHop === undefined ? '' : ` → ${formatSocket(nextHop)}`
  const there = external === null ? '' : `${before} → ${formatExternal(external)}`
  const what = `${protocol} ${formatInternal(internal)}${there}`
  const why = formatReasons(reasons)
  const tick = isDoubted ? colors.yellow('!') : colors.green('✔')
  const label = event.event.padEnd(8)
  switch (event.event) {
    case 'mapped':
    case 'changed':
      return `${tick} ${colors.bold(label)} ${what} ${formatGrantor(event, through)}`
    case 'verified':
      return `${colors.green('✔')} ${colors.bold(label)} ${what} from outside`
    case 'renewed':
      return colors.dim(`  ${label} ${what} ${formatGrantor(event, through)}`)
    case 'shared':
      return `${colors.yellow('!')} ${colors.bold(label)} ${what} with ${formatOwners(event.owners)}: the last one that ends gives it back`
    case 'released':
      return `  ${label} ${what}`
    default:
      return `${colors.red('✘')} ${colors.bold(label)} ${what}${why}`
  }
}

/** Formats what has granted a mapping, and for how long. A port of another host is held as long as the program runs. */
const formatGrantor = ({ strategy, lifetimeSeconds }: MappingEvent, through: string | undefined): string =>
  through === undefined
    ? `by ${strategy}, ${formatSeconds(lifetimeSeconds)}`
    : `through ${printable(through)} by ${strategy}`

/** Formats `shared` at the end of the command: another program of this host keeps the mapping. */
export const formatKept = ({ protocol, internal, external, owners = [] }: MappingEvent): string => {
  const there = external === null ? '' : ` → ${formatExternal(external)}`
  const goOn = `${formatOwners(owners)} ${owners.length > 1 ? 'use' : 'uses'} it`
  return `  kept     ${protocol} ${formatInternal(internal)}${there}: ${goOn}`
}

/** Formats `failed` for a node, as a remark and not as an error, because peers may reach it in other ways. */
export const formatUnmapped = ({ protocol, internal, reasons = [] }: MappingEvent, colors: Colors): string =>
  colors.dim(`  no mapping of ${protocol} ${formatInternal(internal)}${formatReasons(reasons)}`)

/** Formats reasons, one line for each. */
const formatReasons = (reasons: NonNullable<MappingEvent['reasons']>): string =>
  reasons.map(({ strategy, message }) => `\n  ${strategy.padEnd(10)} ${message}`).join('')

function formatOwners(owners: MappingEvent['owners'] = []): string {
  return owners.map(({ pid, program }) => `process ${pid} (${program})`).join(' and ')
}

const paint = (colors: Colors): Readonly<Record<StrategyReport['state'], (text: string) => string>> => ({
  active: colors.green,
  standby: colors.cyan,
  available: colors.cyan,
  unavailable: colors.dim,
  failed: colors.red,
  skipped: colors.yellow
})

/** Wraps a text for a narrow terminal, with the second and later lines indented by two. Wide terminals wrap by
 * themselves. */
export function wrap(text: string, columns: number | undefined): string {
  if (columns === undefined || columns >= minTableColumns) return text
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > columns - 2) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n  ')
}

/** The number of columns below which reasons are written in their own lines. */
const minTableColumns = 80

/** Formats a strategy in one line: name, state, time, reason; in several lines for a narrow terminal. */
export function formatStrategy(
  { name, state, tookMs, reason, gateway, through }: StrategyReport,
  colors: Colors,
  columns?: number
): string {
  const time = formatMs(tookMs).padStart(8)
  const isNarrow = columns !== undefined && columns < minTableColumns
  const place = through === undefined ? [] : [`at ${gateway}, behind ${through}`]
  const says = [...place, ...(reason === null ? [] : [reason.message])].join(': ')
  const text = says === '' ? '' : isNarrow ? `\n  ${wrap(says, columns)}` : `  ${says}`
  return `${name.padEnd(10)} ${paint(colors)[state](state.padEnd(11))} ${time}${colors.dim(text)}`
}

/** Formats the strategies as a table. */
export function formatStrategies(strategies: readonly StrategyReport[], colors: Colors, columns?: number): string {
  const head = colors.dim(`${'strategy'.padEnd(10)} ${'state'.padEnd(11)} ${'time'.padStart(8)}  what it says`)
  return [head, ...strategies.map((each) => formatStrategy(each, colors, columns))].join('\n')
}
