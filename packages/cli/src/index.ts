/**
 * `postern`: is this machine reachable, if not why, and what now? And a port mapping from the command line.
 *
 * @packageDocumentation
 */
import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import type { Strategy } from '@postern/interface'
import { exitCodes } from './exit-codes.js'
import { line } from './output.js'
import { parseDuration, type PortArgument, parsePort, parsePortNumber } from './parse.js'

const codesText = `
Exit codes:
  0   success; doctor: public
  1   failed
  2   the command line was not understood
  10  doctor: reachable through a relay only
  11  doctor: private
  12  doctor: unknown`

/** What `parseLadder` of @postern/node reads, which is not loaded for a text; a test compares the two. */
const viaText =
  'strategies in rank order: any | none | pcp[:<gateway>] | nat-pmp[:<gateway>] | upnp[:<gateway>] | manual:<ip>:<port> | manual:<port>, joined by commas'

interface MapFlags {
  readonly via: string
  readonly lifetime: number
  readonly externalPort?: number
  readonly once?: boolean
  readonly json?: boolean
}

interface DoctorFlags {
  readonly via: string
  readonly json?: boolean
  readonly dryRun?: boolean
}

/** Runs the command line and sets the process's exit code. What a command needs is loaded for that command only. */
export async function run(args: readonly string[]): Promise<void> {
  const output = { out: process.stdout, err: process.stderr }
  const finish = (code: number): void => {
    process.exitCode = code
  }
  const program = new Command('postern')
    .description('Makes this machine reachable from outside its router, and says why when it is not.')
    .version(version(), '-V, --version')
    .addOption(colorOption())
    .exitOverride()
    .showHelpAfterError('(postern --help tells more)')
    .addHelpText(
      'after',
      `
Examples:
  $ postern doctor                     is this machine reachable, and if not, why?
  $ postern map 8080                   map TCP port 8080 until Ctrl-C
  $ postern map 4001/udp --json        the same for UDP, as one JSON object a line
${codesText}`
    )

  program
    .command('doctor')
    .description('Tries with a temporary port how reachable this machine is: verdict, cause, and what to do next.')
    .addOption(viaOption())
    .addOption(colorOption())
    .option('--dry-run', 'only look for routers and services; map nothing')
    .option('--json', 'the report as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ postern doctor
  $ postern doctor --dry-run           changes nothing in the router
  $ postern doctor --json | jq .verdict
  $ postern doctor --via manual:203.0.113.7:8080,upnp
${codesText}`
    )
    .action(async ({ via, json = false, dryRun = false }: DoctorFlags, command: Command) => {
      const { doctor } = await import('./doctor.js')
      finish(await doctor({ strategies: await readVia(via, command), json, dryRun }, output))
    })

  program
    .command('map')
    .description('Maps a port of this host in the router, keeps it mapped, and releases it at Ctrl-C.')
    .argument('<port>', 'the port, with /tcp or /udp; tcp if neither is given', parsePort)
    .addOption(viaOption())
    .addOption(colorOption())
    .addOption(lifetimeOption())
    .option('--external-port <port>', 'the external port to ask for first (default: the same port)', parsePortNumber)
    .option('--once', 'exit after the first outcome and leave the mapping to lapse')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  $ postern map 8080
  $ postern map 4001/udp --via pcp,upnp
  $ postern map 22 --external-port 2222 --lifetime 1h
  $ postern map 8080 --once --json
${codesText}`
    )
    .action(async (argument: PortArgument, flags: MapFlags, command: Command) => {
      const { via, lifetime, externalPort = namedPort(argument.port), once = false, json = false } = flags
      const [{ map }, { fileStore }] = await Promise.all([import('./map.js'), import('@postern/node')])
      const strategies = await readVia(via, command)
      const warn = (error: Error): void => line(process.stderr, `! ${error.message}`)
      const store = fileStore({ app: `map-${argument.port}-${argument.protocol}`, warn })
      try {
        finish(await map(argument, { strategies, lifetimeMs: lifetime, externalPort, once, json, store }, output))
      } finally {
        await store.close()
      }
    })

  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    finish(error.exitCode === 0 ? exitCodes.success : exitCodes.usage)
  }
  // `--once` leaves a mapping behind on purpose, and with it timers that would renew it.
  await new Promise<void>((resolve) => void process.stdout.write('', () => resolve()))
  process.exit()
}

/** Whoever maps a port below 1024 by name has asked for it. */
const namedPort = (port: number): number | undefined => (port < 1024 ? port : undefined)

const viaOption = (): Option => new Option('--via <strategies>', viaText).default('any', 'any')
const lifetimeOption = (): Option =>
  new Option('--lifetime <time>', 'the lifetime to ask for: 90s, 30m, 2h')
    .argParser(parseDuration)
    .default(parseDuration('2h'), '2h')
/** What writes reads it from the command line itself: colours are decided before anything is parsed. */
const colorOption = (): Option => new Option('--no-color', 'no colours (as the environment variable NO_COLOR)')

async function readVia(text: string, command: Command): Promise<readonly Strategy[]> {
  const { parseLadder } = await import('@postern/node')
  try {
    return parseLadder(text)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    command.error(`error: option '--via <strategies>' argument '${text}' is invalid. ${error.message}`)
  }
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : ''
}
