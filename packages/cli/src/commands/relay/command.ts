import type { MultiaddrText } from '@postern/interface'
import { type Command, Option } from 'commander'
import { line } from '../../shared/output.js'
import { parseCount, parseDuration, parsePortNumber, parseSize } from '../../shared/parse.js'
import {
  addressesOption,
  codesText,
  colorOption,
  metricsHostOption,
  metricsOption,
  orUsageError,
  type Shell
} from '../common.js'
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
    .description(
      'Runs a public libp2p relay (circuit relay v2) and AutoNAT v2 server, until Ctrl-C. Everything that peers use has a limit.'
    )
    .addOption(
      addressesOption('--listen <multiaddr>', `an address to listen on (default: ${defaultListen.join(' and ')})`)
    )
    .addOption(
      addressesOption(
        '--announce <multiaddr>',
        "an address to announce to peers (default: this machine's public addresses)"
      )
    )
    .option(
      '--key <file>',
      'the file of the private key, created if absent (default: $XDG_STATE_HOME/postern/relay.key)'
    )
    .optionsGroup('Reservations:')
    .addOption(count('--max-reservations <count>', 'reservations of all peers; each peer has at most one', 1024))
    .addOption(count('--per-ip <count>', 'reservations of one IP address (IPv6: one /64)', 4))
    .addOption(count('--per-subnet <count>', 'reservations of one subnet (IPv4: one /24, IPv6: one /48)', 16))
    .addOption(count('--per-network <count>', 'reservations of one network (IPv4: one /16, IPv6: one /32)', 32))
    .addOption(time('--reservation-ttl <time>', 'how long a reservation lasts unless it is renewed', '1h'))
    .optionsGroup('Relayed connections:')
    .addOption(count('--max-circuits <count>', 'relayed connections of all peers', 1024))
    .addOption(count('--per-peer <count>', 'relayed connections to and from one peer', 16))
    .addOption(count('--circuits-per-ip <count>', 'relayed connections to and from one IP address (IPv6: one /64)', 32))
    .addOption(
      count(
        '--circuits-per-subnet <count>',
        'relayed connections to and from one subnet (IPv4: one /24, IPv6: one /48)',
        128
      )
    )
    .option(
      '--circuits-per-network <count>',
      'relayed connections to and from one network (IPv4: one /16, IPv6: one /32) (default: as --max-circuits)',
      parseCount
    )
    .addOption(time('--duration <time>', 'maximum duration of a relayed connection', '2m'))
    .addOption(
      new Option('--data <size>', 'maximum amount of data of a relayed connection, such as 5000, 128KiB or 1MiB')
        .argParser(parseSize)
        .default(parseSize('128KiB'), '128KiB')
    )
    .optionsGroup('Connections to this node:')
    .option('--max-connections <count>', 'connections of all peers (default: 2 × --max-reservations + 256)', parseCount)
    .addOption(count('--connections-per-peer <count>', 'connections of one peer', 8))
    .addOption(count('--connections-per-ip <count>', 'connections of one IP address (IPv6: one /64)', 32))
    .addOption(
      count('--connections-per-subnet <count>', 'connections of one subnet (IPv4: one /24, IPv6: one /48)', 128)
    )
    .option(
      ...half(
        '--connections-per-network',
        'connections of one network (IPv4: one /16, IPv6: one /32)',
        '--max-connections'
      )
    )
    .optionsGroup('Streams that peers open:')
    .addOption(count('--max-streams <count>', 'streams of all peers', 8192))
    .addOption(count('--streams-per-connection <count>', 'streams over one connection', 64))
    .addOption(count('--streams-per-peer <count>', 'streams of one peer', 128))
    .addOption(count('--streams-per-ip <count>', 'streams of one IP address (IPv6: one /64)', 512))
    .addOption(count('--streams-per-subnet <count>', 'streams of one subnet (IPv4: one /24, IPv6: one /48)', 1024))
    .option(...half('--streams-per-network', 'streams of one network (IPv4: one /16, IPv6: one /32)', '--max-streams'))
    .optionsGroup('New inbound connections:')
    .addOption(count('--connection-rate <count>', 'new connections per second', 200))
    .addOption(
      count('--connection-rate-per-ip <count>', 'new connections per second from one IP address (IPv6: one /64)', 10)
    )
    .addOption(
      count(
        '--connection-rate-per-subnet <count>',
        'new connections per second from one subnet (IPv4: one /24, IPv6: one /48)',
        50
      )
    )
    .option(
      ...half(
        '--connection-rate-per-network',
        'new connections per second from one network (IPv4: one /16, IPv6: one /32)',
        '--connection-rate'
      )
    )
    .addOption(count('--max-handshakes <count>', 'connections in the handshake', 256))
    .addOption(
      count('--handshakes-per-ip <count>', 'connections in the handshake from one IP address (IPv6: one /64)', 8)
    )
    .addOption(
      count(
        '--handshakes-per-subnet <count>',
        'connections in the handshake from one subnet (IPv4: one /24, IPv6: one /48)',
        32
      )
    )
    .option(
      ...half(
        '--handshakes-per-network',
        'connections in the handshake from one network (IPv4: one /16, IPv6: one /32)',
        '--max-handshakes'
      )
    )
    .addOption(time('--handshake-timeout <time>', 'maximum duration of a handshake', '5s'))
    .optionsGroup('AutoNAT requests that make the relay dial an address:')
    .addOption(count('--autonat-requests <count>', 'requests per minute', 60))
    .addOption(count('--autonat-requests-per-peer <count>', 'requests per minute of one peer', 12))
    .addOption(count('--autonat-requests-per-ip <count>', 'requests per minute of one IP address (IPv6: one /64)', 24))
    .addOption(
      count(
        '--autonat-requests-per-subnet <count>',
        'requests per minute of one subnet (IPv4: one /24, IPv6: one /48)',
        30
      )
    )
    .option(
      ...half(
        '--autonat-requests-per-network',
        'requests per minute of one network (IPv4: one /16, IPv6: one /32)',
        '--autonat-requests'
      )
    )
    .addOption(count('--autonat-concurrency <count>', 'addresses that are dialled at the same time', 16))
    .optionsGroup('For programs without libp2p:')
    .option(
      '--witness <port>',
      'also a witness server on this port of all addresses, as `postern witness` (default: none)',
      parsePortNumber
    )
    .optionsGroup('Output:')
    .addOption(metricsOption())
    .addOption(metricsHostOption())
    .option('--json', 'print one JSON object per line')
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
