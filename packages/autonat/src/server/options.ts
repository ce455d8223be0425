import { randomInt } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { type Clock, checkOptions, isGlobal, systemClock } from '@postern/interface'

/** Options of `autonatServer()`. */
export interface AutonatServerInit {
  /** Whether the server may dial an IP address for another peer. Private addresses belong to the server's own network,
   * where a remote peer must not be able to trigger dials.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayDial?: (address: string) => boolean
  /** How many requests of one peer may lead to a dial within one minute.
   * @default 12 */
  readonly requestsPerPeer?: number
  /** The same limit for one IPv4 address or one IPv6 /64.
   * @default 24 */
  readonly requestsPerIp?: number
  /** The same limit for one IPv4 /24 or one IPv6 /48.
   * @default 30 */
  readonly requestsPerSubnet?: number
  /** The same limit for one IPv4 /16 or one IPv6 /32.
   * @default half of `requestsPerMinute` */
  readonly requestsPerNetwork?: number
  /** The same limit for all peers together. One IP address cannot use more than it leaves for others.
   * @default 60 */
  readonly requestsPerMinute?: number
  /**
   * How many addresses are dialled concurrently. One peer may have two requests, which are dialled one after the other.
   * @default 16
   */
  readonly concurrency?: number
  /** How long a dial may take, in milliseconds.
   * @default 10_000 */
  readonly dialTimeoutMs?: number
  /** How many bytes a peer must send before the server dials an address other than the peer's own; at most 200_000.
   * @default a random number from 30_000 to 100_000 */
  readonly dialDataBytes?: () => number
  /** Returns the IP addresses of this machine. They are not dialled on ports that this node listens on. IPv6 addresses
   * are dialled only if `mayDial` accepts one of this machine's IPv6 addresses.
   * @default the addresses of the network interfaces */
  readonly hostAddresses?: () => readonly string[]
  /** The clock for timeouts and limits.
   * @default the clock of this machine */
  readonly clock?: Clock
}

export type ServerSettings = Required<AutonatServerInit>

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readServerInit(init: AutonatServerInit): ServerSettings {
  checkOptions('autonatServer()', init, {
    mayDial: 'any',
    requestsPerPeer: 'any',
    requestsPerIp: 'any',
    requestsPerSubnet: 'any',
    requestsPerNetwork: 'any',
    requestsPerMinute: 'any',
    concurrency: 'any',
    dialTimeoutMs: 'any',
    dialDataBytes: 'any',
    hostAddresses: 'any',
    clock: 'object'
  })
  const {
    mayDial = isGlobal,
    requestsPerPeer = 12,
    requestsPerIp = 24,
    requestsPerSubnet = 30,
    requestsPerMinute = 60,
    requestsPerNetwork = Math.ceil(requestsPerMinute / 2),
    concurrency = 16,
    dialTimeoutMs = 10_000,
    // "servers SHOULD ask for 30k to 100k bytes" (autonat-v2, Amplification Attack Prevention)
    dialDataBytes = () => randomInt(30_000, 100_001),
    hostAddresses = interfaceAddresses,
    clock = systemClock
  } = init
  const numbers = {
    requestsPerPeer,
    requestsPerIp,
    requestsPerSubnet,
    requestsPerNetwork,
    requestsPerMinute,
    concurrency,
    dialTimeoutMs
  }
  for (const [name, value] of Object.entries(numbers)) {
    if (!Number.isInteger(value) || value < 1)
      throw new TypeError(`${name} is not a whole number of 1 or more: ${value}`)
  }
  for (const [name, value] of Object.entries({ mayDial, dialDataBytes, hostAddresses })) {
    if (typeof value !== 'function') throw new TypeError(`${name} is not a function`)
  }
  return { ...numbers, mayDial, dialDataBytes, hostAddresses, clock }
}

const interfaceAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
