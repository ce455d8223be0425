import type { MultiaddrText, ServerHost, Strategy } from '@postern/interface'
import { type Command, Option } from 'commander'
import { createLiveLine } from '../../shared/live-line.js'
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
import type { LookAround } from './neighbourhood/look-around.js'
import type { NamedWitness, OpenTrial } from './trial.js'
import { forwardedPort, names, whyNotListening } from './trial-port.js'

interface DoctorFlags {
  readonly via: string
  readonly peer?: readonly MultiaddrText[]
  readonly witness?: readonly string[]
  readonly stun?: readonly string[]
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly quick?: boolean
  readonly port?: number
  readonly html?: string
  readonly captivePortal?: string
}

/** Adds the command `doctor`. */
export function addDoctor(program: Command, { output, finish, watched }: Shell): void {
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
    .addOption(witnessOption().conflicts('dryRun'))
    .addOption(
      new Option(
        '--stun <host[:port]>',
        'a STUN server that reports which address it sees and how the NAT behaves; together with --witness, a UDP socket is tried too; may be repeated'
      ).argParser(collectText)
    )
    .addOption(
      new Option(
        '--port <port>',
        'the port of this machine to test: TCP, and UDP with --witness and --stun (default: the port of --via manual:…, otherwise a free port)'
      )
        .argParser(parsePortNumber)
        .conflicts('dryRun')
    )
    .addOption(
      new Option(
        '--captive-portal <url>',
        'a page that answers with status 204, such as http://connectivity.example/generate_204: another answer shows that a login page is in between'
      )
    )
    .addOption(colorOption())
    .option('--dry-run', 'search for routers and services, but map nothing')
    .option('--quick', 'report after the first search, without waiting for slow routers')
    .option('--json', 'print the report as JSON')
    .option('--html <file>', 'also write the report to a file that shows it in a browser, with a picture of the way in')
    .addHelpText(
      'after',
      `
The report also says what is unusual around this machine: about the router and
its mappings, UDP, IPv6, a login page, and the firewall of this machine.

Examples:
  $ postern doctor
  $ postern doctor --dry-run           change nothing in the router
  $ postern doctor --json | jq .verdict
  $ postern doctor --html report.html
  $ postern doctor --via manual:203.0.113.7:8080,upnp
  $ postern doctor --via manual:203.0.113.7:443 --port 8443
  $ postern doctor --stun stun.example.org --stun 203.0.113.1:3478
  $ postern doctor --captive-portal http://connectivity.example/generate_204
  $ postern doctor --witness http://203.0.113.9:4003 --witness https://witness.example.org
  $ postern doctor --witness http://203.0.113.9:4003 --witness https://witness.example.org --stun stun.example.org
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
          port: named,
          html,
          captivePortal
        }: DoctorFlags,
        command: Command
      ) => {
        const live = createLiveLine(output, { isText: !json })
        // Loading libp2p takes seconds on a slow machine.
        live.show(peer.length > 0 ? 'Loading libp2p' : 'Starting')
        try {
          const [{ doctor }, observers] = await Promise.all([import('./run.js'), observing(stun, command)])
          const port = dryRun ? undefined : await portToTry(named, via, peer.length + witness.length > 0, output)
          const isPlain = peer.length === 0 || witness.length > 0 || names(via, 'witness')
          const udp = isPlain && !dryRun && (await triesUdp({ via, witness, stun }, port, output))
          const openTrial = isPlain
            ? await plain(
                [...(await readServerVia(via, command)), ...observers],
                { dryRun, port, witness, peer, udp },
                command
              )
            : await witnessed([...(await readVia(via, command)), ...observers], peer, port, command)
          const lookAround = await looking({ via, stun, portal: captivePortal }, command)
          finish(await doctor({ openTrial, json, dryRun, quick, via, port, html, live, watched, lookAround }, output))
        } finally {
          live.hide()
        }
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

interface Looked {
  readonly via: string
  readonly stun: readonly string[]
  readonly portal: string | undefined
}

/** Resolves to the look at the network around this machine. Only parties that the user named are asked, and the DNS servers of
 * this machine. */
async function looking({ via, stun, portal: page }: Looked, command: Command): Promise<LookAround> {
  const { lookAround } = await import('./neighbourhood/look-around.js')
  const servers = [
    ...stun,
    ...via
      .split(',')
      .map((each) => each.trim())
      .filter((each) => each.startsWith('stun:'))
  ]
  const portal =
    page === undefined
      ? undefined
      : await import('./neighbourhood/captive-portal.js').then(({ parsePortalUrl }) =>
          orUsageError(command, '--captive-portal <url>', () => parsePortalUrl(page), page)
        )
  if (servers.length === 0) return lookAround({ portal })
  const { parseServer } = await import('@postern/stun')
  return lookAround({ servers: servers.map(parseServer), portal })
}

/** Resolves to whether to try a UDP socket too. Only STUN servers show the external port of a socket, and only witnesses prove
 * it: without both, nothing would be known of UDP, and the ports of every run would take twice the mappings. */
async function triesUdp(
  { via, witness, stun }: { readonly via: string } & Required<Pick<DoctorFlags, 'witness' | 'stun'>>,
  port: number | undefined,
  { err }: Output
): Promise<boolean> {
  const hasBoth = (stun.length > 0 || names(via, 'stun')) && (witness.length > 0 || names(via, 'witness'))
  if (!hasBoth || port === undefined) return hasBoth
  const { isUdpPortFree } = await import('./udp-sockets.js')
  const isFree = await isUdpPortFree(port)
  if (!isFree) line(err, `! UDP port ${port} of this host is not free, so only TCP is tried`)
  return isFree
}

interface PlainFlags {
  readonly dryRun: boolean
  readonly port: number | undefined
  readonly witness: readonly string[]
  readonly peer: readonly MultiaddrText[]
  readonly udp: boolean
}

async function plain(
  strategies: readonly Strategy<ServerHost>[],
  { dryRun, port, witness: urls, peer, udp }: PlainFlags,
  command: Command
): Promise<OpenTrial> {
  const { plainTrial } = await import('./trial.js')
  const witnesses = await namedWitnesses(urls, command)
  const open = (more: readonly Strategy<ServerHost>[]): OpenTrial =>
    plainTrial([...strategies, ...witnesses.strategies, ...more], dryRun, port, { named: witnesses.named, udp })
  if (peer.length === 0) return open([])
  const { trialWithPeers } = await import('./asking-node.js')
  return orUsageError(command, '--peer <multiaddr>', () => trialWithPeers(peer, open))
}

interface Witnesses {
  readonly strategies: readonly Strategy<ServerHost>[]
  readonly named: () => readonly NamedWitness[]
}

async function namedWitnesses(urls: readonly string[], command: Command): Promise<Witnesses> {
  if (urls.length === 0) return { strategies: [], named: () => [] }
  const { plainWitnesses } = await import('./plain-witnesses.js')
  const { strategy, named } = orUsageError(command, '--witness <url>', () => plainWitnesses(urls))
  return { strategies: [strategy], named }
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
