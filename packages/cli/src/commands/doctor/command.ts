import type { MultiaddrText, ServerHost, Strategy } from '@postern/interface'
import { type Command, Option } from 'commander'
import { Failure, line, type Output } from '../../shared/output.js'
import { parsePortNumber } from '../../shared/parse.js'
import {
  addressesOption,
  codesText,
  colorOption,
  orUsageError,
  readServerVia,
  readVia,
  type Shell,
  viaOption,
  witnessOption
} from '../common.js'
import type { OpenTrial } from './trial.js'
import { forwardedPort, whyNotListening } from './trial-port.js'

interface DoctorFlags {
  readonly via: string
  readonly peer?: readonly MultiaddrText[]
  readonly witness?: readonly string[]
  readonly stun?: readonly string[]
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly quick?: boolean
  readonly port?: number
}

/** Adds the command `doctor`. */
export function addDoctor(program: Command, { output, finish }: Shell): void {
  program
    .command('doctor')
    .description(
      'Tests with a temporary port whether this machine is reachable. Prints the verdict, its cause and the next steps.'
    )
    .addOption(viaOption())
    .addOption(
      addressesOption(
        '--peer <multiaddr>',
        'a libp2p peer that dials this machine from outside and reports whether that worked (AutoNAT); verifying an address takes two peers on distinct networks'
      ).conflicts('dryRun')
    )
    .addOption(witnessOption().conflicts(['dryRun', 'peer']))
    .addOption(
      new Option(
        '--stun <host[:port]>',
        'a STUN server that reports which address it sees and how the NAT behaves; may be repeated'
      ).argParser(collectText)
    )
    .addOption(
      new Option(
        '--port <port>',
        'the TCP port of this machine to test (default: the port of --via manual:…, otherwise a free port)'
      )
        .argParser(parsePortNumber)
        .conflicts('dryRun')
    )
    .addOption(colorOption())
    .option('--dry-run', 'search for routers and services, but map nothing')
    .option('--quick', 'report after the first search, without waiting for slow routers')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ postern doctor
  $ postern doctor --dry-run           change nothing in the router
  $ postern doctor --json | jq .verdict
  $ postern doctor --via manual:203.0.113.7:8080,upnp
  $ postern doctor --via manual:203.0.113.7:443 --port 8443
  $ postern doctor --stun stun.example.org --stun 203.0.113.1:3478
  $ postern doctor --witness http://203.0.113.9:4003 --witness https://witness.example.org
  $ postern doctor --peer /dns4/relay.example.org/tcp/4001/p2p/<peer id> --peer <another one>
${codesText('doctor')}`
    )
    .action(
      async (
        {
          via,
          peer = [],
          witness = [],
          stun = [],
          json = false,
          dryRun = false,
          quick = false,
          port: named
        }: DoctorFlags,
        command: Command
      ) => {
        const [{ doctor }, observers] = await Promise.all([import('./run.js'), observing(stun, command)])
        const port = dryRun ? undefined : await portToTry(named, via, peer.length + witness.length > 0, output)
        const openTrial =
          peer.length === 0
            ? await plain([...(await readServerVia(via, command)), ...observers], dryRun, port, witness, command)
            : await witnessed([...(await readVia(via, command)), ...observers], peer, port, command)
        finish(await doctor({ openTrial, json, dryRun, quick, via, port }, output))
      }
    )
}

/** Resolves to the port to listen on; undefined for a free one. Throws a Failure if another program has the port that
 * was named or that peers would dial. */
async function portToTry(
  named: number | undefined,
  via: string,
  hasPeers: boolean,
  { err }: Output
): Promise<number | undefined> {
  const port = named ?? forwardedPort(via)
  const reason = port === undefined ? undefined : await whyNotListening(port)
  if (port === undefined || reason === undefined) return port
  const remedy = 'free the port for a moment, or name with --port the port of this host that the router forwards to'
  if (named !== undefined || hasPeers) throw new Failure(`${reason}, so it cannot be tried: ${remedy}`)
  line(err, `! ${reason}, so doctor cannot tell whether connections to it arrive: ${remedy}`)
  return undefined
}

const collectText = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  text
]

async function observing(servers: readonly string[], command: Command): Promise<readonly Strategy[]> {
  if (servers.length === 0) return []
  const { stun } = await import('@postern/stun')
  return [orUsageError(command, '--stun <host[:port]>', () => stun({ servers }))]
}

async function plain(
  strategies: readonly Strategy<ServerHost>[],
  dryRun: boolean,
  port: number | undefined,
  urls: readonly string[],
  command: Command
): Promise<OpenTrial> {
  const { plainTrial } = await import('./trial.js')
  if (urls.length === 0) return plainTrial(strategies, dryRun, port)
  const { plainWitnesses } = await import('./plain-witnesses.js')
  const { strategy, named } = orUsageError(command, '--witness <url>', () => plainWitnesses(urls))
  return plainTrial([...strategies, strategy], dryRun, port, named)
}

/** Loads libp2p, which takes longer than everything else, only if a peer is named. */
async function witnessed(
  strategies: readonly Strategy[],
  peers: readonly MultiaddrText[],
  port: number | undefined,
  command: Command
): Promise<OpenTrial> {
  const { witnessedTrial } = await import('./witnessed-trial.js')
  return orUsageError(command, '--peer <multiaddr>', () => witnessedTrial(strategies, peers, port))
}
