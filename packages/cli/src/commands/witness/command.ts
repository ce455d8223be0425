import type { TrustedProxies } from '@postern/witness/server'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseCount } from '../../shared/parse.js'
import {
  codesText,
  colorOption,
  type MetricsFlags,
  metricsHostOption,
  metricsOption,
  orUsageError,
  type Shell
} from '../common.js'
import { type ListenPlace, parseListen } from './listen-place.js'

interface WitnessFlags extends MetricsFlags {
  readonly listen?: readonly ListenPlace[]
  readonly announce?: readonly string[]
  readonly trustProxy?: TrustedProxies
  readonly requests: number
  readonly requestsPerIp: number
  readonly requestsPerSubnet: number
  readonly concurrency: number
  readonly maxConnections: number
  readonly json?: boolean
}

/** Adds the command `witness`. */
export function addWitness(program: Command, { output, finish }: Shell): void {
  program
    .command('witness')
    .description(
      'Runs a server that connects to each host that asks, and so tells it whether it can be reached from outside.'
    )
    .addOption(
      new Option('--listen <host:port>', 'where to listen (default: 0.0.0.0:4003); may be repeated').argParser(
        collectListen
      )
    )
    .addOption(
      new Option(
        '--announce <ip>',
        'the address that it connects from, if a NAT changes it to another one than that of its URL; may be repeated'
      ).argParser(collectText)
    )
    .addOption(
      new Option(
        '--trust-proxy <header=addresses>',
        'the reverse proxies in front, and the header in which they tell the address of the client'
      ).argParser(parseTrustProxy)
    )
    .optionsGroup('Requests that lead to a connection:')
    .addOption(count('--requests <count>', 'of all clients in a minute', 1200))
    .addOption(count('--requests-per-ip <count>', 'of one IP address (IPv6: one /64) in a minute', 30))
    .addOption(count('--requests-per-subnet <count>', 'of one subnet (/24 of IPv4, /48 of IPv6) in a minute', 60))
    .addOption(count('--concurrency <count>', 'at the same time', 256))
    .addOption(count('--max-connections <count>', 'connected clients', 1024))
    .optionsGroup('Output:')
    .addOption(metricsOption())
    .addOption(metricsHostOption())
    .option('--json', 'print one JSON object per line')
    .addOption(colorOption())
    .addHelpText(
      'after',
      `
It connects to the address that a request comes from, and to no other: ports 80, 443 and 1024 to 65535, and no private
addresses. Two of them, at different providers, verify an address.

Examples:
  $ postern witness
  $ postern witness --listen 0.0.0.0:4003 --listen [::]:4003 --metrics 9465
  $ postern witness --listen 127.0.0.1:4003 --trust-proxy x-forwarded-for=127.0.0.1
On another machine, behind a router:
  $ postern doctor --witness http://203.0.113.9:4003 --witness http://198.51.100.9:4003
${codesText('others')}`
    )
    .action(async (flags: WitnessFlags, command: Command) => {
      const { createWitnessServer } = await import('@postern/witness/server')
      const {
        listen = [{ host: '0.0.0.0', port: 4003 }],
        json = false,
        metrics,
        metricsHost = [],
        announce = []
      } = flags
      // The first server only checks the option, so that an error names the right one.
      orUsageError(command, '--announce <ip>', () => createWitnessServer({ announce }))
      const server = orUsageError(command, '--trust-proxy <header=addresses>', () =>
        createWitnessServer({
          announce,
          requestsPerMinute: flags.requests,
          requestsPerIp: flags.requestsPerIp,
          requestsPerSubnet: flags.requestsPerSubnet,
          concurrency: flags.concurrency,
          maxConnections: flags.maxConnections,
          ...(flags.trustProxy === undefined ? {} : { trustProxy: flags.trustProxy })
        })
      )
      const { runWitness } = await import('./run.js')
      finish(await runWitness({ server, listen, metrics, metricsHosts: metricsHost, json }, output))
    })
}

const collectListen = (text: string, before: readonly ListenPlace[] | undefined): readonly ListenPlace[] => [
  ...(before ?? []),
  parseListen(text)
]

const collectText = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  text
]

/** Parses `x-forwarded-for=127.0.0.1,10.0.0.0/8`. The server checks the parts. */
function parseTrustProxy(text: string): TrustedProxies {
  const [header = '', addresses = '', ...more] = text.split('=')
  if (header === '' || addresses === '' || more.length > 0)
    throw new InvalidArgumentError('give it as x-forwarded-for=127.0.0.1 or x-real-ip=10.0.0.0/8,::1')
  return { header, proxies: addresses.split(',') }
}

const count = (flags: string, text: string, initial: number): Option =>
  new Option(flags, text).argParser(parseCount).default(initial)
