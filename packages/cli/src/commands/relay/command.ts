import type { MultiaddrText } from '@postern/interface'
import { type Command, Option } from 'commander'
import { line } from '../../shared/output.js'
import { parseCount, parseDuration, parsePortNumber, parseSize } from '../../shared/parse.js'
import { addressesOption, codesText, collectHost, colorOption, orUsageError, type Shell } from '../common.js'
import type { RelayLimits } from './run.js'

interface RelayFlags {
  readonly listen?: readonly MultiaddrText[]
  readonly announce?: readonly MultiaddrText[]
  readonly key?: string
  readonly maxReservations: number
  readonly perIp: number
  readonly perSubnet: number
  readonly perNetwork: number
  readonly maxCircuits: number
  readonly perPeer: number
  readonly circuitsPerIp: number
  readonly circuitsPerSubnet: number
  readonly circuitsPerNetwork?: number
  readonly maxConnections?: number
  readonly connectionsPerPeer: number
  readonly connectionsPerIp: number
  readonly connectionsPerSubnet: number
  readonly connectionsPerNetwork?: number
  readonly connectionRate: number
  readonly connectionRatePerIp: number
  readonly connectionRatePerSubnet: number
  readonly connectionRatePerNetwork?: number
  readonly maxHandshakes: number
  readonly handshakesPerIp: number
  readonly handshakesPerSubnet: number
  readonly handshakesPerNetwork?: number
  readonly handshakeTimeout: number
  readonly autonatRequests: number
  readonly autonatRequestsPerPeer: number
  readonly autonatRequestsPerIp: number
  readonly autonatRequestsPerSubnet: number
  readonly autonatRequestsPerNetwork?: number
  readonly autonatConcurrency: number
  readonly maxStreams: number
  readonly streamsPerConnection: number
  readonly streamsPerPeer: number
  readonly streamsPerIp: number
  readonly streamsPerSubnet: number
  readonly streamsPerNetwork?: number
  readonly reservationTtl: number
  readonly duration: number
  readonly data: number
  readonly witness?: number
  readonly metrics?: number
  readonly metricsHost?: readonly string[]
  readonly json?: boolean
}

const defaultListen = ['/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/tcp/4002/ws']

/** Adds the command `relay`. */
export function addRelay(program: Command, { output, finish }: Shell): void {
  program
    .command('relay')
    .description('Runs a public libp2p relay (circuit relay v2) and AutoNAT v2 server, with limits, until Ctrl-C.')
    .addOption(addressesOption('--listen <multiaddr>', `where to listen (default: ${defaultListen.join(' and ')})`))
    .addOption(
      addressesOption('--announce <multiaddr>', "the address to tell peers (default: this machine's public addresses)")
    )
    .option('--key <file>', 'the private key, made if absent (default: $XDG_STATE_HOME/postern/relay.key)')
    .optionsGroup('Reservations:')
    .addOption(count('--max-reservations <count>', 'of all peers; a peer has one at most', 1024))
    .addOption(count('--per-ip <count>', 'of one IP address (IPv6: one /64)', 4))
    .addOption(count('--per-subnet <count>', 'of one subnet (/24 of IPv4, /48 of IPv6)', 16))
    .addOption(count('--per-network <count>', 'of one network (/16 of IPv4, /32 of IPv6)', 32))
    .addOption(time('--reservation-ttl <time>', 'how long one lasts unless it is renewed', '1h'))
    .optionsGroup('Relayed connections:')
    .addOption(count('--max-circuits <count>', 'of all peers', 1024))
    .addOption(count('--per-peer <count>', 'to and from one peer', 16))
    .addOption(count('--circuits-per-ip <count>', 'to and from one IP address (IPv6: one /64)', 32))
    .addOption(count('--circuits-per-subnet <count>', 'to and from one subnet (/24 of IPv4, /48 of IPv6)', 128))
    .option(...half('--circuits-per-network', 'to and from one network (/16, /32)', '2 × --max-circuits'))
    .addOption(time('--duration <time>', 'how long one lasts at most', '2m'))
    .addOption(
      new Option('--data <size>', 'how much one carries at most: bytes, 128KiB, 1MiB')
        .argParser(parseSize)
        .default(parseSize('128KiB'), '128KiB')
    )
    .optionsGroup('Connections to this node:')
    .option('--max-connections <count>', 'of all peers (default: 2 × --max-reservations + 256)', parseCount)
    .addOption(count('--connections-per-peer <count>', 'of one peer', 8))
    .addOption(count('--connections-per-ip <count>', 'of one IP address (IPv6: one /64)', 32))
    .addOption(count('--connections-per-subnet <count>', 'of one subnet (/24 of IPv4, /48 of IPv6)', 128))
    .option(...half('--connections-per-network', 'of one network (/16, /32)', '--max-connections'))
    .optionsGroup('Streams that peers open:')
    .addOption(count('--max-streams <count>', 'of all peers', 8192))
    .addOption(count('--streams-per-connection <count>', 'over one connection', 64))
    .addOption(count('--streams-per-peer <count>', 'of one peer', 128))
    .addOption(count('--streams-per-ip <count>', 'of one IP address (IPv6: one /64)', 512))
    .addOption(count('--streams-per-subnet <count>', 'of one subnet (/24 of IPv4, /48 of IPv6)', 1024))
    .option(...half('--streams-per-network', 'of one network (/16, /32)', '--max-streams'))
    .optionsGroup('Connections that come in:')
    .addOption(count('--connection-rate <count>', 'new ones in a second', 200))
    .addOption(count('--connection-rate-per-ip <count>', 'of one IP address (IPv6: one /64) in a second', 10))
    .addOption(count('--connection-rate-per-subnet <count>', 'of one subnet (/24, /48) in a second', 50))
    .option(...half('--connection-rate-per-network', 'of one network (/16, /32) in a second', '--connection-rate'))
    .addOption(count('--max-handshakes <count>', 'that are not established yet', 256))
    .addOption(count('--handshakes-per-ip <count>', 'of one IP address (IPv6: one /64), not established yet', 8))
    .addOption(count('--handshakes-per-subnet <count>', 'of one subnet (/24, /48), not established yet', 32))
    .option(...half('--handshakes-per-network', 'of one network (/16, /32), not established yet', '--max-handshakes'))
    .addOption(time('--handshake-timeout <time>', 'how long one may take to be established', '5s'))
    .optionsGroup('AutoNAT requests that an address is dialled for:')
    .addOption(count('--autonat-requests <count>', 'in a minute', 60))
    .addOption(count('--autonat-requests-per-peer <count>', 'of one peer in a minute', 12))
    .addOption(count('--autonat-requests-per-ip <count>', 'of one IP address (IPv6: one /64) in a minute', 24))
    .addOption(count('--autonat-requests-per-subnet <count>', 'of one subnet (/24, /48) in a minute', 30))
    .option(...half('--autonat-requests-per-network', 'of one network (/16, /32) in a minute', '--autonat-requests'))
    .addOption(count('--autonat-concurrency <count>', 'at the same time', 16))
    .optionsGroup('For programs without libp2p:')
    .option(
      '--witness <port>',
      'also a witness server on this port of all addresses, as `postern witness` (default: none)',
      parsePortNumber
    )
    .optionsGroup('Output:')
    .option('--metrics <port>', 'metrics for Prometheus on this port of 127.0.0.1 (default: none)', parsePortNumber)
    .option(
      '--metrics-host <name>',
      'a name besides localhost by which the metrics may be asked for, as through a reverse proxy; may be repeated',
      collectHost
    )
    .option('--json', 'one JSON object a line')
    .addOption(colorOption())
    .addHelpText(
      'after',
      `
Examples:
  $ postern relay
  $ postern relay --announce /dns4/relay.example.org/tcp/4001 --metrics 9464
  $ postern relay --listen /ip4/0.0.0.0/tcp/4001 --listen /ip6/::/tcp/4001
  $ postern relay --per-ip 2 --duration 10m --data 1MiB
  $ postern relay --witness 4003
  $ postern relay --max-connections 500 --connections-per-ip 8
${codesText('others')}`
    )
    .action(async (flags: RelayFlags, command: Command) => {
      const [{ relay }, { readAddress }, { defaultKeyPath, loadKey }] = await Promise.all([
        import('./run.js'),
        import('../../shared/peers.js'),
        import('../../shared/key-file.js')
      ])
      const {
        listen = defaultListen,
        announce = [],
        key = defaultKeyPath('relay'),
        json = false,
        witness,
        metrics,
        metricsHost
      } = flags
      orUsageError(command, '--listen <multiaddr>', () => listen.map(readAddress))
      orUsageError(command, '--announce <multiaddr>', () => announce.map(readAddress))
      const privateKey = await loadKey(key, (text) => line(output.err, `! ${text}`))
      const metricsHosts = metricsHost ?? []
      finish(
        await relay({ ...limitsOf(flags), listen, announce, privateKey, witness, metrics, metricsHosts, json }, output)
      )
    })
}

/** Returns the limits of the flags. */
const limitsOf = (flags: RelayFlags): RelayLimits => ({
  reservations: {
    total: flags.maxReservations,
    network: flags.perNetwork,
    subnet: flags.perSubnet,
    ip: flags.perIp
  },
  circuitEnds: {
    total: 2 * flags.maxCircuits,
    network: flags.circuitsPerNetwork ?? flags.maxCircuits,
    subnet: flags.circuitsPerSubnet,
    ip: flags.circuitsPerIp,
    peer: flags.perPeer
  },
  reservationTtlMs: flags.reservationTtl,
  durationMs: flags.duration,
  dataBytes: flags.data,
  streamsPerConnection: flags.streamsPerConnection,
  autonat: {
    requestsPerMinute: flags.autonatRequests,
    requestsPerPeer: flags.autonatRequestsPerPeer,
    requestsPerIp: flags.autonatRequestsPerIp,
    requestsPerSubnet: flags.autonatRequestsPerSubnet,
    requestsPerNetwork: flags.autonatRequestsPerNetwork ?? halfOf(flags.autonatRequests),
    concurrency: flags.autonatConcurrency
  },
  admission: {
    connections: {
      total: connectionsOf(flags),
      network: flags.connectionsPerNetwork ?? halfOf(connectionsOf(flags)),
      subnet: flags.connectionsPerSubnet,
      ip: flags.connectionsPerIp,
      peer: flags.connectionsPerPeer
    },
    streams: {
      total: flags.maxStreams,
      network: flags.streamsPerNetwork ?? halfOf(flags.maxStreams),
      subnet: flags.streamsPerSubnet,
      ip: flags.streamsPerIp,
      peer: flags.streamsPerPeer
    },
    handshakes: {
      total: flags.maxHandshakes,
      network: flags.handshakesPerNetwork ?? halfOf(flags.maxHandshakes),
      subnet: flags.handshakesPerSubnet,
      ip: flags.handshakesPerIp
    },
    socketsPerSecond: {
      total: flags.connectionRate,
      network: flags.connectionRatePerNetwork ?? halfOf(flags.connectionRate),
      subnet: flags.connectionRatePerSubnet,
      ip: flags.connectionRatePerIp
    },
    handshakeTimeoutMs: flags.handshakeTimeout
  }
})

const connectionsOf = ({ maxConnections, maxReservations }: RelayFlags): number =>
  maxConnections ?? 2 * maxReservations + 256

const halfOf = (total: number): number => Math.ceil(total / 2)

const count = (flags: string, text: string, initial: number): Option =>
  new Option(flags, text).argParser(parseCount).default(initial)

/** Returns an option with a default that depends on another option. */
const half = (name: string, text: string, of: string): [string, string, typeof parseCount] => [
  `${name} <count>`,
  `${text} (default: half of ${of})`,
  parseCount
]

const time = (flags: string, text: string, initial: string): Option =>
  new Option(flags, text).argParser(parseDuration).default(parseDuration(initial), initial)
