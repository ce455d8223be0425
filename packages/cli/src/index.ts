/**
 * `postern`: is this machine reachable, if not why, and what now? A port mapping, a public relay and a libp2p node from
 * the command line.
 *
 * @packageDocumentation
 */
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { isNatError } from '@postern/interface'
import { Command, CommanderError } from 'commander'
import { codesText, colorOption, type Shell } from './commands/common.js'
import { exitCodes } from './shared/exit-codes.js'
import { keepGoing } from './shared/last-defence.js'
import { writeAbove } from './shared/live-line.js'
import { Failure, harmless, line, outliveReaders, saidAll } from './shared/output.js'
import { colorsFor } from './shared/terminal.js'
import { version } from './shared/version.js'
import { columnsOf, wrapLines } from './shared/wrap-lines.js'

/** Adds a command to the program. */
type Add = (program: Command, shell: Shell) => void

/** The commands, in the order of the help. */
const commands: Readonly<Record<string, () => Promise<Add>>> = {
  doctor: async () => (await import('./commands/doctor/command.js')).addDoctor,
  map: async () => (await import('./commands/map/command.js')).addMap,
  watch: async () => (await import('./commands/watch/command.js')).addWatch,
  relay: async () => (await import('./commands/relay/command.js')).addRelay,
  witness: async () => (await import('./commands/witness/command.js')).addWitness,
  peer: async () => (await import('./commands/peer/command.js')).addPeer,
  ping: async () => (await import('./commands/ping/command.js')).addPing,
  tunnel: async () => (await import('./commands/tunnel/command.js')).addTunnel
}

/** Loads the command that comes first on the command line; all of them if none does, for the help and for a wrong name. */
function commandsFor([name = '']: readonly string[]): Promise<readonly Add[]> {
  const named = Object.hasOwn(commands, name) ? commands[name] : undefined
  return Promise.all((named === undefined ? Object.values(commands) : [named]).map((load) => load()))
}

/** Runs the command line, sets the exit code and ends the process. Each command loads only the modules that it
 * needs. */
export async function run(args: readonly string[]): Promise<void> {
  const shell: Shell = {
    output: { out: process.stdout, err: process.stderr },
    finish: (code) => {
      process.exitCode = code
    }
  }
  const results = outliveReaders(shell.output)
  const defence = keepGoing(shell.output)
  const program = new Command('postern')
    .description('Makes this machine reachable from the internet, or explains why it is not.')
    .version(version(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addOption(colorOption())
    .exitOverride()
    // Wrap the help even in a terminal of 40 columns.
    .configureHelp({ minWidthToWrap: 10 })
    .configureOutput({
      writeOut: (text) => void process.stdout.write(wrapLines(text, columnsOf(process.stdout))),
      writeErr: (text) => writeAbove(process.stderr, harmless(wrapLines(text, columnsOf(process.stderr)), false)),
      outputError: (text, write) => write(plainError(text))
    })
    .addHelpText(
      'after',
      `
Examples:
  $ postern doctor                     test whether this machine is reachable
  $ postern map 8080                   map TCP port 8080 until Ctrl-C
  $ postern map 4001/udp --json        map UDP port 4001, and print one JSON object per line
  $ postern watch                      show in a browser how this machine can be reached
  $ postern relay --metrics 9464       run a relay and AutoNAT server, with metrics
  $ postern witness                    run a server that tests from outside whether others can be reached
  $ postern peer --relay <multiaddr>   run a libp2p node that makes itself reachable
  $ postern ping <peer id> --relay <multiaddr>   whether a peer answers, and whether directly
  $ postern tunnel listen 22 --allow <peer id>   give a peer in another home access to port 22
${codesText('all')}`
    )
  for (const add of await commandsFor(args)) add(program, shell)
  nameHelpAfterErrors(program, 'postern')

  try {
    await program.parseAsync(args[0] === '-V' ? ['-v'] : args, { from: 'user' })
  } catch (error) {
    if (error instanceof Failure || isNatError(error)) {
      line(process.stderr, `${colorsFor(process.stderr).red('✘')} ${error.message}`)
      shell.finish(exitCodes.failed)
    } else if (error instanceof CommanderError) {
      shell.finish(error.exitCode === 0 ? exitCodes.success : exitCodes.usage)
    } else {
      // Node.js would write the message unescaped, although it may contain text of a peer.
      line(process.stderr, error instanceof Error ? (error.stack ?? error.message) : String(error))
      shell.finish(exitCodes.failed)
    }
  }
  await saidAll(shell.output)
  if (results.failure() !== undefined || defence.hasFailed()) process.exitCode ||= exitCodes.failed
  await leave(shell.output)
}

/** Makes each command name its own help after a wrong argument. */
function nameHelpAfterErrors(command: Command, path: string): void {
  command.showHelpAfterError(`(see ${path} --help)`)
  for (const each of command.commands) nameHelpAfterErrors(each, `${path} ${each.name()}`)
}

/** Shortens the message of commander for an invalid argument: `option '--lifetime <time>' argument '5x' is invalid.
 * Give …`. */
const plainError = (text: string): string =>
  text
    .replace(/option '(--[\w-]+)[^']*' argument '(.*)' is invalid\. /s, "$1 '$2': ")
    .replace(/command-argument value '(.*)' is invalid for argument '([^']*)'\. /s, "<$2> '$1': ")

/** How long the program waits at its end for a disk that does not answer, in ms, before it ends by SIGKILL. */
const diskMs = 1000

/** Ends the process, even if a disk does not answer. */
async function leave({ err }: Shell['output']): Promise<never> {
  const isReading = (): boolean => process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))
  const untilMs = performance.now() + diskMs
  // Disk operations nearly always end within a millisecond, and a timer would delay every command.
  for (let turn = 0; isReading() && performance.now() < untilMs; turn++) await (turn < 100 ? immediate() : sleep(10))
  // `process.exit()` would wait for threads that wait for the disk, and handle no signals meanwhile.
  if (isReading()) {
    line(err, '! a disk does not answer, and the program ends without waiting for it')
    process.kill(process.pid, 'SIGKILL')
  }
  // `--once` leaves a mapping on purpose, and its renewal timers would keep the process alive.
  process.exit()
}
