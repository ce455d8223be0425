import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import type { TopologyOptions } from './cli-topology.js'
import { Stop, takeTopologyOptions, topologyNamed } from './cli-topology.js'
import { draw } from './draw.js'
import { LabError } from './errors.js'
import { ended } from './exec.js'
import { joinLab } from './join.js'
import { openLab } from './lab.js'
import { prepareNewerDaemon } from './newer-daemon.js'
import { peerNames } from './peers.js'
import { canRunLab } from './support.js'
import { tiers } from './tiers.js'
import { prepareTools } from './tools.js'
import { topologies } from './topologies.js'
import type { Topology } from './topology.js'

const examples = `
Examples:
  postern-lab list
  postern-lab run home -- natpmpc -a 4000 4000 tcp 60
  postern-lab run carrier-nat --host router -- ip address
  postern-lab run home --peers --host alpha -- sh     a shell on a public host of its internet
  postern-lab run forwarded --forward 5001:4001 --peers -- sh     a port that was forwarded by hand
  postern-lab run home-and-symmetric --delay 25 --host home2 -- sh     two homes, 50 ms apart
  postern-lab join 4711 --host alpha -- sh     a second shell in a lab of another terminal

Exit codes of run and join: that of the command; 1 if no lab can run here; 2 for a wrong name or option.`

// Ignores a reader that closes the pipe, as in `postern-lab list | head -1`.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

const program = new Command('postern-lab')
  .description(
    'Real NATs in kernel namespaces: run a command behind one. No root; nothing is installed or left behind.'
  )
  .addHelpText('after', examples)
  .exitOverride()

program
  .command('list')
  .description('list the topologies')
  .option('--json', 'as JSON, with every address')
  .action(({ json }: { json?: true }) => {
    if (json) return print(JSON.stringify(topologies, undefined, 2))
    const width = Math.max(...topologies.map(({ name }) => name.length))
    for (const { name, description } of topologies) print(`${name.padEnd(width)}  ${description}`)
    print(`\nTwo homes: <tier>-and-<tier>, as in home-and-symmetric. Tiers: ${tiers.join(', ')}.`)
  })

takeTopologyOptions(program.command('show').description('draw one topology').argument('<topology>')).action(
  (name: string, options: TopologyOptions) => print(draw(topologyNamed(name, options)))
)

program
  .command('setup')
  .description('unpack the tools and check whether a lab can run here')
  .action(async () => {
    await prepareTools({ onProgress: (line) => print(line) })
    // Only topologies with two routers in a row need it.
    await prepareNewerDaemon({ onProgress: (line) => print(line) }).catch((error: unknown) => {
      if (!(error instanceof LabError)) throw error
      print(error.message)
    })
    const support = await canRunLab()
    if (!support.ok) throw new Stop(1, support.reason)
    print('Labs can run here.')
  })

takeTopologyOptions(
  program
    .command('run')
    .description('run a command in a host of a fresh lab')
    .argument('<topology>', 'a name from `postern-lab list`')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--host <name>', 'the host to run it in', 'home')
)
  .option('--delay <ms>', 'one-way delay on the links of home, or of both homes, to the internet', parseMs)
  .action(async (name: string, command: string[], options: TopologyOptions & { host: string; delay?: number }) => {
    const { host, delay = 0 } = options
    const topology = topologyNamed(name, options)
    const hosts = Object.keys(topology.hosts)
    if (!hosts.includes(host)) throw new Stop(2, `${name} has no host ${host}. It has: ${hosts.join(', ')}`)
    const support = await canRunLab({ onProgress: (line) => void process.stderr.write(`${line}\n`) })
    if (!support.ok) throw new Stop(1, support.reason)

    const lab = await openLab(topology)
    try {
      if (process.stdin.isTTY) process.stderr.write(`${describeJoin(lab.pid, host, hosts)}\n`)
      if (delay > 0) for (const each of atInternet(topology)) await lab.delay(each, delay)
      process.exitCode = await follow(lab.spawn(host, command, { stdio: 'inherit' }))
    } finally {
      await lab.close()
    }
  })

program
  .command('join')
  .description('run a command in a host of a lab that is open in another terminal')
  .argument('<pid>', 'as `postern-lab run` prints it', parsePid)
  .argument('<command...>', 'the command and its arguments, after --')
  .option('--host <name>', 'the host to run it in', 'home')
  .action(async (pid: number, command: string[], { host }: { host: string }) => {
    try {
      process.exitCode = await follow(await joinLab(pid, host, command))
    } catch (error) {
      if (error instanceof TypeError) throw new Stop(2, error.message)
      throw error
    }
  })

/** Returns the hint for a second shell, on another host if there is one. */
function describeJoin(pid: number, host: string, hosts: readonly string[]): string {
  const other = hosts.find((each) => each === 'alpha') ?? hosts.find((each) => each !== host) ?? host
  return `In another terminal: postern-lab join ${pid} --host ${other} -- sh`
}

function parsePid(text: string): number {
  const pid = Number(text)
  if (!Number.isInteger(pid) || pid < 1 || pid > 2 ** 22) throw new InvalidArgumentError('Must be a process id.')
  return pid
}

/** Returns the hosts with an outer link to the internet, without the hosts of the internet itself. */
function atInternet({ hosts }: Topology): string[] {
  const own = new Set(['internet', ...peerNames])
  const network = hosts['internet']?.links[0]?.network
  return Object.entries(hosts)
    .filter(([name, { links, router }]) => {
      const outwards = links.find((link) => link.name === router?.wan) ?? links[0]
      return !own.has(name) && outwards?.network === network
    })
    .map(([name]) => name)
}

function parseMs(text: string): number {
  const ms = Number(text)
  if (text.trim() === '' || !(ms >= 0 && ms <= 60_000)) throw new InvalidArgumentError('Must be 0 to 60000.')
  return ms
}

/** Forwards signals to a command and resolves with its exit code. */
async function follow(child: ChildProcess): Promise<number> {
  // In a terminal, Ctrl-C reaches the command directly. Many programs treat a second SIGINT as "quit immediately".
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT')
  })
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  const { code, signal } = await ended(child)
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

try {
  await program.parseAsync()
} catch (error) {
  const [code, message] = explain(error)
  if (message !== undefined) process.stderr.write(`${message}\n`)
  process.exitCode = code
}

function explain(error: unknown): [code: number, message?: string] {
  if (error instanceof Stop) return [error.code, error.message]
  if (error instanceof LabError) return [1, error.message]
  // commander has printed the message already; its exit code is 1 for wrong use and 0 for --help.
  if (error instanceof Error && 'exitCode' in error) return [error.exitCode === 0 ? 0 : 2]
  return [1, error instanceof Error ? (error.stack ?? error.message) : String(error)]
}
