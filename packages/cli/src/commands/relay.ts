import { type Command, InvalidArgumentError, Option } from 'commander'
import type { MultiaddrText } from '@postern/interface'
import { line } from '../output.js'
import { parseCount, parseDuration, parsePortNumber, parseSize } from '../parse.js'
import { addressesOption, codesText, colorOption, orUsageError, type Shell } from './common.js'

interface RelayFlags {
  readonly listen?: readonly MultiaddrText[]
  readonly announce?: readonly MultiaddrText[]
  readonly key?: string
  readonly maxReservations: number
  readonly perPeer: number
  readonly perIp: number
  readonly perNetwork: number
  readonly reservationTtl: number
  readonly duration: number
  readonly data: number
  readonly metrics?: number
  readonly metricsHost?: readonly string[]
  readonly json?: boolean
}

const defaultListen = ['/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/tcp/4002/ws']

export function addRelay(program: Command, { output, finish }: Shell): void {
  program
    .command('relay')
    .description('Runs a public libp2p relay (circuit relay v2) and AutoNAT v2 server, with limits, until Ctrl-C.')
    .addOption(addressesOption('--listen <multiaddr>', `where to listen (default: ${defaultListen.join(' and ')})`))
    .addOption(
      addressesOption('--announce <multiaddr>', "the address to tell peers (default: this machine's public addresses)")
    )
    .option('--key <file>', 'the private key, made if absent (default: $XDG_STATE_HOME/postern/relay.key)')
    .addOption(count('--max-reservations <count>', 'reservations of all peers', 1024))
    .addOption(count('--per-peer <count>', 'relayed connections of one peer at a time; it has one reservation', 16))
    .addOption(count('--per-ip <count>', 'reservations of one IP address (IPv6: one /64)', 4))
    .addOption(count('--per-network <count>', 'reservations of one network (/16 of IPv4, /32 of IPv6)', 32))
    .addOption(time('--reservation-ttl <time>', 'how long a reservation lasts unless it is renewed', '1h'))
    .addOption(time('--duration <time>', 'how long a relayed connection lasts at most', '2m'))
    .addOption(
      new Option('--data <size>', 'how much a relayed connection carries at most: bytes, 128KiB, 1MiB')
        .argParser(parseSize)
        .default(parseSize('128KiB'), '128KiB')
    )
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
${codesText}`
    )
    .action(async (flags: RelayFlags, command: Command) => {
      const [{ relay }, { readAddress }, { defaultKeyPath, loadKey }] = await Promise.all([
        import('../relay.js'),
        import('../peers.js'),
        import('../identity.js')
      ])
      const {
        listen = defaultListen,
        announce = [],
        key = defaultKeyPath('relay'),
        json = false,
        metrics,
        metricsHost
      } = flags
      orUsageError(command, '--listen <multiaddr>', () => listen.map(readAddress))
      orUsageError(command, '--announce <multiaddr>', () => announce.map(readAddress))
      const { reservationTtl, duration, data, ...limits } = flags
      const privateKey = await loadKey(key, (text) => line(output.err, `! ${text}`))
      const lengths = { reservationTtlMs: reservationTtl, durationMs: duration, dataBytes: data }
      finish(
        await relay(
          { ...limits, ...lengths, listen, announce, privateKey, metrics, metricsHosts: metricsHost ?? [], json },
          output
        )
      )
    })
}

function collectHost(text: string, before: readonly string[] | undefined): readonly string[] {
  if (!/^[a-z0-9._-]{1,253}$/i.test(text)) throw new InvalidArgumentError('give a host name without a port')
  return [...(before ?? []), text.toLowerCase()]
}

const count = (flags: string, text: string, initial: number): Option =>
  new Option(flags, text).argParser(parseCount).default(initial)

const time = (flags: string, text: string, initial: string): Option =>
  new Option(flags, text).argParser(parseDuration).default(parseDuration(initial), initial)
