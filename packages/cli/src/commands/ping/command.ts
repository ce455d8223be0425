import type { MultiaddrText } from '@postern/interface'
import { type Command, Option } from 'commander'
import { parseCount, parseDuration } from '../../shared/parse.js'
import { addressesOption, codesText, colorOption, orUsageError, readVia, type Shell, viaOption } from '../common.js'

interface PingFlags {
  readonly via: string
  readonly relay?: readonly MultiaddrText[]
  readonly count: number
  readonly interval: number
  readonly untilDirect: boolean
  readonly json?: boolean
}

/** Adds the command `ping`. */
export function addPing(program: Command, { output, finish }: Shell): void {
  program
    .command('ping <peer>')
    .description(
      'Pings a libp2p peer, shows the path of each answer, and ends as soon as the connection is direct. <peer> is a multiaddr, or a peer id with --relay.'
    )
    .addOption(addressesOption('--relay <multiaddr>', 'a relay through which the peer can be reached'))
    .addOption(viaOption())
    .addOption(new Option('--count <count>', 'maximum number of pings').argParser(parseCount).default(10))
    .addOption(
      new Option('--interval <time>', 'the pause after each ping, such as 1s or 1m')
        .argParser(parseDuration)
        .default(1000, '1s')
    )
    .addOption(new Option('--until-direct', 'end with the first answer over a direct connection').default(true))
    .option('--no-until-direct', 'send all pings, also over a direct connection')
    .option('--json', 'print one JSON object per line')
    .addOption(colorOption())
    .addHelpText(
      'after',
      `
Examples:
  $ postern ping <peer id> --relay /ip4/203.0.113.7/tcp/4001/p2p/<relay>
  $ postern ping <peer id> --relay <multiaddr> --count 60 --interval 5s --no-until-direct
  $ postern ping /ip4/203.0.113.7/tcp/4001/p2p/<peer id> --via none
  $ postern ping <peer id> --relay <multiaddr> --json | jq 'select(.event == "pong").rttMs'
${codesText('ping')}`
    )
    .action(async (text: string, flags: PingFlags, command: Command) => {
      const { relay: relays = [], count, interval: intervalMs, untilDirect, json = false } = flags
      const [mappers, { ping }, { peerIdOf, isWitness }, { readPeer }, { generateKeyPair }] = await Promise.all([
        readVia(flags.via, command),
        import('./run.js'),
        import('../../shared/peers.js'),
        import('../tunnel/peer.js'),
        import('@libp2p/crypto/keys')
      ])
      orUsageError(command, '--relay <multiaddr>', () => relays.map(peerIdOf))
      const { peer, addresses } = orUsageError(command, '<peer>', () => readPeer(text, relays))
      const privateKey = await generateKeyPair('Ed25519')
      const witnesses = relays.filter(isWitness)
      const options = { mappers, relays, witnesses, privateKey, peer, addresses, count, intervalMs, untilDirect, json }
      finish(await ping(options, output))
    })
}
