import type { MultiaddrText, ServerHost, Strategy } from '@postern/interface'
import type { StatusSource } from '@postern/status'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Output } from '../shared/output.js'
import { parsePortNumber } from '../shared/parse.js'
import type { MetricsPlace } from '../shared/traversal-metrics.js'

/** The process in which a command runs. */
export interface Shell {
  readonly output: Output
  /** Sets the exit code of the process. */
  readonly finish: (code: number) => void
  /** Serves a page about the command that runs; see `postern watch`.
   * @default the command is not watched */
  readonly watched?: Watched
}

/** Is called once there is something to show, before anything is mapped. Resolves when the page is served, and rejects with a
 * Failure if it cannot be. */
export type Watched = (source: StatusSource) => Promise<void>

const codes: Readonly<Record<'all' | 'doctor' | 'map' | 'others' | 'connect' | 'ping', string>> = {
  all: `
Exit codes:
  0   success; doctor: public; ping: an answer over a direct connection
  1   failure; ping: no answer
  2   invalid command line
  10  doctor, ping: reachable only through a relay
  11  doctor: private
  12  doctor: unknown; ping: interrupted before there was a result
  13  tunnel connect: the other side does not allow this peer`,
  doctor: `
Exit codes:
  0   public, also if that holds for UDP only
  1   failure; with --peer also if the port was mapped but no named peer could be asked
  2   invalid command line
  10  reachable only through a relay
  11  private
  12  unknown`,
  map: `
Exit codes:
  0   ended by Ctrl-C, and the mapping was released; with --once: mapped, or reached by witnesses
  1   failure; with --once also if the port was not mapped, and witnesses have not reached it
  2   invalid command line`,
  others: `
Exit codes:
  0   success
  1   failure
  2   invalid command line`,
  ping: `
Exit codes:
  0   an answer came over a direct connection
  1   no answer, or a failure
  2   invalid command line
  10  the peer answers only through a relay
  12  interrupted before there was a result`,
  connect: `
Exit codes:
  0   success
  1   failure
  2   invalid command line
  13  tunnel connect: the other side does not allow this peer`
}

/** Returns the help text about the exit codes of a command. */
export const codesText = (command: keyof typeof codes): string => codes[command]

/** The grammar of `parseLadder`. A copy, so that @postern/node is not loaded for the help; a test compares the two. */
const viaText =
  'the strategies in rank order: any | none | pcp[:<gateway>] | nat-pmp[:<gateway>] | upnp[:<gateway>] | manual:<ip>:<port> | manual:<port> | stun:<host>[:<port>] | witness:<url> | ssh:<user>@<host>[:<port>] | bore:<host>, joined by commas'

/** Returns the option `--via`. */
export const viaOption = (): Option => new Option('--via <strategies>', viaText).default('any', 'any')
/** Returns the option `--no-color`. `colorsFor` reads it from the command line itself, because errors may be written
 * before parsing. */
export const colorOption = (): Option =>
  new Option('--no-color', 'print no colours, as with the environment variable NO_COLOR')

/** Returns an option that takes a multiaddr, and may be repeated. */
export const addressesOption = (flags: string, text: string): Option =>
  new Option(flags, `${text}; may be repeated`).argParser(collectAddress)

/** The options about metrics of a command. */
export interface MetricsFlags {
  readonly metrics?: number
  readonly metricsHost?: readonly string[]
}

/** Returns the option `--metrics`. */
export const metricsOption = (): Option =>
  new Option(
    '--metrics <port>',
    'serve metrics for Prometheus on this port of 127.0.0.1 (default: no metrics)'
  ).argParser(parsePortNumber)

/** Returns the option `--metrics-host`, which may be repeated. */
export const metricsHostOption = (): Option =>
  new Option(
    '--metrics-host <name>',
    'a host name besides localhost under which the metrics are served, for a reverse proxy; may be repeated'
  ).argParser(collectHost)

/** Returns where to serve the metrics; undefined if they are not asked for. */
export const metricsPlace = ({ metrics, metricsHost = [] }: MetricsFlags): MetricsPlace | undefined =>
  metrics === undefined ? undefined : { port: metrics, hosts: metricsHost }

/** Collects host names of `--metrics-host`. */
function collectHost(text: string, before: readonly string[] | undefined): readonly string[] {
  if (!/^[a-z0-9._-]{1,253}$/i.test(text)) throw new InvalidArgumentError('give a host name without a port')
  return [...(before ?? []), text.toLowerCase()]
}

/** Checks only the start: the command that needs it loads the library that parses multiaddrs. */
function collectAddress(text: string, before: readonly MultiaddrText[] | undefined): readonly MultiaddrText[] {
  if (!text.startsWith('/') || text.length < 2) {
    throw new InvalidArgumentError('give a multiaddr, such as /ip4/203.0.113.7/tcp/4001/p2p/<peer id>')
  }
  return [...(before ?? []), `/${text.slice(1)}`]
}

/** Resolves to the strategies of `--via`. Ends the command with a usage error for invalid text. */
export async function readVia(text: string, command: Command): Promise<readonly Strategy[]> {
  const { parsePlainLadder } = await import('@postern/node')
  return orUsageError(command, '--via <strategies>', () => parsePlainLadder(text), text)
}

/** Resolves to the strategies of `--via` for a command that sees what arrives at the port, so that witnesses may be among
 * them. Ends the command with a usage error for invalid text. */
export async function readServerVia(
  text: string,
  command: Command,
  witnesses: { readonly holdMs?: number } = {}
): Promise<readonly Strategy<ServerHost>[]> {
  const { parseLadder } = await import('@postern/node')
  return orUsageError(command, '--via <strategies>', () => parseLadder(text, witnesses), text)
}

/** Returns the option `--witness`, which may be repeated. The command that needs it checks the URL. */
export const witnessOption = (): Option =>
  new Option(
    '--witness <url>',
    'a server that connects to the port from outside (`postern witness`); two on distinct networks are needed; may be repeated'
  ).argParser((text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text])

/** Returns the result of `read`. A TypeError that it throws is a usage error, which names the option and ends the
 * command. */
export function orUsageError<T>(command: Command, option: string, read: () => T, text?: string): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const argument = text === undefined ? '' : ` '${text}'`
    return command.error(`error: ${option.replace(/ <.*/, '')}${argument}: ${error.message}`)
  }
}
