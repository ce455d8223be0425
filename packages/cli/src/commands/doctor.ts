import { type Command, Option } from 'commander'
import type { MultiaddrText, Strategy } from '@postern/interface'
import type { OpenTrial } from '../trial.js'
import { addressesOption, codesText, colorOption, orUsageError, readVia, type Shell, viaOption } from './common.js'

interface DoctorFlags {
  readonly via: string
  readonly peer?: readonly MultiaddrText[]
  readonly stun?: readonly string[]
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly quick?: boolean
}

export function addDoctor(program: Command, { output, finish }: Shell): void {
  program
    .command('doctor')
    .description('Tries with a temporary port how reachable this machine is: verdict, cause, and what to do next.')
    .addOption(viaOption())
    .addOption(
      addressesOption(
        '--peer <multiaddr>',
        'a libp2p peer that dials the address from outside and says whether it can be reached (AutoNAT); two on distinct networks are needed'
      ).conflicts('dryRun')
    )
    .addOption(
      new Option(
        '--stun <host[:port]>',
        'a STUN server that tells which address it sees, and how the NAT behaves; may be repeated'
      ).argParser(collectText)
    )
    .addOption(colorOption())
    .option('--dry-run', 'only look for routers and services; map nothing')
    .option('--quick', 'say what is known after the first look, and do not wait for routers that answer slowly')
    .option('--json', 'the report as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ postern doctor
  $ postern doctor --dry-run           changes nothing in the router
  $ postern doctor --json | jq .verdict
  $ postern doctor --via manual:203.0.113.7:8080,upnp
  $ postern doctor --stun stun.example.org --stun 203.0.113.1:3478
  $ postern doctor --peer /dns4/relay.example.org/tcp/4001/p2p/<peer id> --peer <another one>
${codesText}`
    )
    .action(
      async (
        { via, peer = [], stun = [], json = false, dryRun = false, quick = false }: DoctorFlags,
        command: Command
      ) => {
        const [{ doctor }, ladder, observers] = await Promise.all([
          import('../doctor.js'),
          readVia(via, command),
          observing(stun, command)
        ])
        const strategies = [...ladder, ...observers]
        const openTrial =
          peer.length === 0 ? await plain(strategies, dryRun) : await witnessed(strategies, peer, command)
        finish(await doctor({ openTrial, json, dryRun, quick }, output))
      }
    )
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

async function plain(strategies: readonly Strategy[], dryRun: boolean): Promise<OpenTrial> {
  const { plainTrial } = await import('../trial.js')
  return plainTrial(strategies, dryRun)
}

/** libp2p takes longer to load than all the rest: only who names a peer waits for it. */
async function witnessed(
  strategies: readonly Strategy[],
  peers: readonly MultiaddrText[],
  command: Command
): Promise<OpenTrial> {
  const { witnessedTrial } = await import('../witnessed-trial.js')
  return orUsageError(command, '--peer <multiaddr>', () => witnessedTrial(strategies, peers))
}
