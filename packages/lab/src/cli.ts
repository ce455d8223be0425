import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { Command } from 'commander'
import { draw } from './draw.js'
import { LabError } from './errors.js'
import { ended } from './exec.js'
import { openLab } from './lab.js'
import { withPeers } from './peers.js'
import { canRunLab } from './support.js'
import { prepareTools } from './tools.js'
import { findTopology, topologies } from './topologies.js'
import type { Topology } from './topology.js'

const examples = `
Examples:
  postern-lab list
  postern-lab run home -- natpmpc -a 4000 4000 tcp 60
  postern-lab run carrier-nat --host router -- ip address
  postern-lab run home --peers --host alpha -- sh     a shell on a public host of its internet

Exit codes of run: the command's own; 1 where no lab can be had here; 2 for a wrong name or option.`

const peersOption = ['--peers', 'with the public hosts alpha, bravo, charlie and outsider on the internet'] as const
interface PeersOption {
  readonly peers?: true
}

/** Ends the program with a message and an exit code. */
class Stop extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

const program = new Command('postern-lab')
  .description(
    'Real NATs in kernel namespaces: run a command behind one. No root; nothing is installed or left behind.'
  )
  .addHelpText('after', examples)
  .exitOverride()

program
  .command('list')
  .description('what there is to be behind')
  .option('--json', 'as JSON, with every address')
  .action(({ json }: { json?: true }) => {
    if (json) return print(JSON.stringify(topologies, undefined, 2))
    const width = Math.max(...topologies.map(({ name }) => name.length))
    for (const { name, description } of topologies) print(`${name.padEnd(width)}  ${description}`)
  })

program
  .command('show')
  .description('a picture of one topology')
  .argument('<topology>')
  .option(...peersOption)
  .action((name: string, { peers }: PeersOption) => print(draw(topologyNamed(name, peers))))

program
  .command('setup')
  .description('unpack the tools and see whether a lab can be had here')
  .action(async () => {
    await prepareTools({ onProgress: (line) => print(line) })
    const support = await canRunLab()
    if (!support.ok) throw new Stop(1, support.reason)
    print('Labs can be had here.')
  })

program
  .command('run')
  .description('run a command in a host of a fresh lab')
  .argument('<topology>', 'a name from `postern-lab list`')
  .argument('<command...>', 'the command and its arguments, after --')
  .option('--host <name>', 'the host to run it in', 'home')
  .option(...peersOption)
  .action(async (name: string, command: string[], { host, peers }: PeersOption & { host: string }) => {
    const topology = topologyNamed(name, peers)
    const hosts = Object.keys(topology.hosts)
    if (!hosts.includes(host)) throw new Stop(2, `${name} has no host ${host}. It has: ${hosts.join(', ')}`)
    const support = await canRunLab({ onProgress: (line) => void process.stderr.write(`${line}\n`) })
    if (!support.ok) throw new Stop(1, support.reason)

    const lab = await openLab(topology)
    try {
      process.exitCode = await follow(lab.spawn(host, command, { stdio: 'inherit' }))
    } finally {
      await lab.close()
    }
  })

function topologyNamed(name: string, peers = false): Topology {
  const topology = findTopology(name)
  if (topology !== undefined) return peers ? withPeers(topology) : topology
  throw new Stop(2, `No topology is named ${name}. There are: ${topologies.map((each) => each.name).join(', ')}`)
}

/** Passes signals on to a command and resolves with its exit code. */
async function follow(child: ChildProcess): Promise<number> {
  // In a terminal a Ctrl-C reaches the command by itself; a second copy of it would mean "at once" to many.
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
  // commander has said it already; its exit code is 1 for wrong use, 0 for --help.
  if (error instanceof Error && 'exitCode' in error) return [error.exitCode === 0 ? 0 : 2]
  return [1, error instanceof Error ? (error.stack ?? error.message) : String(error)]
}
