import { networkInterfaces } from 'node:os'
import { type Clock, canonicalAddress, checkOptions, isGlobal, systemClock } from '@postern/interface'

/** The reverse proxies that a server believes when they tell the address of a client. */
export interface TrustedProxies {
  /** The name of the header in which they tell it: `x-forwarded-for`, `x-real-ip`, `cf-connecting-ip`. The last address
   * in it that is not of a proxy counts. */
  readonly header: string
  /** Their IP addresses, or ranges such as `10.0.0.0/8`. The header of every other client is ignored. */
  readonly proxies: readonly string[]
}

/** Options of {@link createWitnessServer}. */
export interface WitnessServerOptions {
  /** Whether the server may connect to an IP address. Private addresses belong to the server's own network, where a
   * client must not be able to trigger connections.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayDial?: (address: string) => boolean
  /** Whether the server may connect to a port.
   * @default 1024 to 65535, 80 and 443 */
  readonly mayDialPort?: (port: number) => boolean
  /** How many requests of one IPv4 address or one IPv6 /64 may lead to a connection within one minute.
   * @default 30 */
  readonly requestsPerIp?: number
  /** The same limit for one IPv4 /24 or one IPv6 /48.
   * @default 60 */
  readonly requestsPerSubnet?: number
  /** The same limit for all clients together. One address cannot use more than it leaves for others.
   * @default 1200 */
  readonly requestsPerMinute?: number
  /** How many connections the server makes concurrently. One address gets at most 8, and a /24 or /48 32.
   * @default 256 */
  readonly concurrency?: number
  /** How many clients may be connected. One address gets at most 16, and a /24 or /48 64. A new client takes the place of
   * the one that was connected the longest in a prefix that holds more.
   * @default 1024 */
  readonly maxConnections?: number
  /** How long a TCP connection may take to be established, in milliseconds.
   * @default 5000 */
  readonly dialTimeoutMs?: number
  /** The external addresses of this server, one of each family, to name them instead of the local ones. For a server that
   * sends from another address than that of its URL.
   * @default the local address; clients replace a private one by the address of the URL */
  readonly announce?: readonly string[]
  /** The reverse proxies in front of this server.
   * @default none: the address of the connection counts */
  readonly trustProxy?: TrustedProxies
  /** Returns the IP addresses of this machine, which are never dialled.
   * @default the addresses of the network interfaces */
  readonly hostAddresses?: () => readonly string[]
  /** The clock for limits and for connections. The time limits of HTTP requests use the clock of Node.js.
   * @default the clock of this machine */
  readonly clock?: Clock
}

/** The options with their defaults. */
export type ServerSettings = Required<Omit<WitnessServerOptions, 'trustProxy'>> &
  Pick<WitnessServerOptions, 'trustProxy'>

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readServerOptions(options: WitnessServerOptions): ServerSettings {
  checkOptions('createWitnessServer()', options, {
    mayDial: 'function',
    mayDialPort: 'function',
    requestsPerIp: 'number',
    requestsPerSubnet: 'number',
    requestsPerMinute: 'number',
    concurrency: 'number',
    maxConnections: 'number',
    dialTimeoutMs: 'number',
    announce: 'array',
    trustProxy: 'object',
    hostAddresses: 'function',
    clock: 'object'
  })
  const {
    mayDial = isGlobal,
    mayDialPort = isOrdinaryPort,
    requestsPerIp = 30,
    requestsPerSubnet = 60,
    requestsPerMinute = 1200,
    concurrency = 256,
    maxConnections = 1024,
    dialTimeoutMs = 5000,
    announce = [],
    trustProxy,
    hostAddresses = interfaceAddresses,
    clock = systemClock
  } = options
  const numbers = { requestsPerIp, requestsPerSubnet, requestsPerMinute, concurrency, maxConnections, dialTimeoutMs }
  for (const [name, value] of Object.entries(numbers)) {
    if (!Number.isInteger(value) || value < 1)
      throw new TypeError(`${name} is not a whole number of 1 or more: ${value}`)
  }
  const named = announce.map((each: unknown) => {
    const address = typeof each === 'string' ? canonicalAddress(each) : undefined
    if (address === undefined) throw new TypeError(`announce: not an IP address: ${String(each)}`)
    return address
  })
  return {
    ...numbers,
    mayDial,
    mayDialPort,
    announce: named,
    hostAddresses,
    clock,
    ...(trustProxy === undefined ? {} : { trustProxy })
  }
}

/** Ports below 1024 belong to services of the system, except those of the web. */
const isOrdinaryPort = (port: number): boolean => port >= 1024 || port === 80 || port === 443

const interfaceAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
