import type { MultiaddrText } from '@postern/interface'
import type { Command } from 'commander'
import { createLiveLine } from '../../shared/live-line.js'
import { line } from '../../shared/output.js'
import {
  addressesOption,
  codesText,
  colorOption,
  type MetricsFlags,
  metricsHostOption,
  metricsOption,
  metricsPlace,
  orUsageError,
  readVia,
  type Shell,
  viaOption
} from '../common.js'

interface PeerFlags extends MetricsFlags {
  readonly via: string
  readonly listen?: readonly MultiaddrText[]
  readonly peer?: readonly MultiaddrText[]
  readonly relay?: readonly MultiaddrText[]
  readonly dial?: readonly MultiaddrText[]
  readonly key?: string
  readonly json?: boolean
}

const defaultListen: readonly MultiaddrText[] = ['/ip4/0.0.0.0/tcp/0']

/** Adds the command `peer`, and its earlier name `node`, which no help text shows. */
export function addPeer(program: Command, shell: Shell): void {
  describePeer(program.command('peer'), shell)
  describePeer(program.command('node', { hidden: true }), shell)
}

function describePeer(described: Command, { output, finish, watched }: Shell): void {
  described
    .description(
      'Runs a libp2p node that makes itself reachable, and prints its events until Ctrl-C. It is for experiments.'
    )
    .addOption(viaOption())
    .addOption(addressesOption('--listen <multiaddr>', `an address to listen on (default: ${defaultListen.join()})`))
    .addOption(
      addressesOption('--peer <multiaddr>', 'a peer to connect to, which also verifies the addresses of this node')
    )
    .addOption(
      addressesOption(
        '--relay <multiaddr>',
        'a relay through which peers reach this node until it is reachable directly'
      )
    )
    .addOption(
      addressesOption(
        '--dial <multiaddr>',
        'a peer to connect to once; prints whether the connection is direct, and its round-trip time'
      )
    )
    .option('--key <file>', 'the file of the private key, created if absent (default: a new key for each run)')
    .option('--json', 'print one JSON object per line')
    .addOption(colorOption())
    .addOption(metricsOption())
    .addOption(metricsHostOption())
    .addHelpText(
      'after',
      `
Examples:
  $ postern peer
  $ postern peer --relay /ip4/203.0.113.7/tcp/4001/p2p/<peer id> --peer <another one>
  $ postern peer --via none --relay /dns4/relay.example.org/tcp/4001/p2p/<peer id>
  $ postern peer --dial /ip4/203.0.113.7/tcp/4001/p2p/<relay>/p2p-circuit/p2p/<peer id>
  $ postern peer --metrics 9464
${codesText('others')}`
    )
    .action(async (flags: PeerFlags, command: Command) => {
      const { via, listen = defaultListen, peer = [], relay: relays = [], dial = [], key, json = false } = flags
      const live = createLiveLine(output, { isText: !json })
      live.show('Loading libp2p')
      try {
        const [mappers, { node }, { isWitness, readAddress, peerIdOf }, { relay }, { autonat }, { holePunch }] =
          await Promise.all([
            readVia(via, command),
            import('./run.js'),
            import('../../shared/peers.js'),
            import('@postern/relay'),
            import('@postern/autonat'),
            import('@postern/hole-punch')
          ])
        orUsageError(command, '--listen <multiaddr>', () => listen.map(readAddress))
        orUsageError(command, '--peer <multiaddr>', () => peer.map(peerIdOf))
        orUsageError(command, '--dial <multiaddr>', () => dial.map(peerIdOf))
        const strategies = [
          ...mappers,
          orUsageError(command, '--relay <multiaddr>', () => relay({ relays, discover: false })),
          // A peer in the local network cannot test reachability from outside: connect to it, but do not ask it.
          orUsageError(command, '--peer <multiaddr>', () => autonat({ peers: peer.filter(isWitness) })),
          holePunch()
        ]
        const warn = (text: string): void => line(output.err, `! ${text}`)
        const privateKey =
          key === undefined ? undefined : await (await import('../../shared/key-file.js')).loadKey(key, warn)
        const metrics = metricsPlace(flags)
        finish(
          await node(
            { strategies, listen, peers: peer, relays, dial, privateKey, json, live, metrics, watched },
            output
          )
        )
      } finally {
        live.hide()
      }
    })
}
