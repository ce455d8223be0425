import { randomInt } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { checkOptions, type Clock, isGlobal, systemClock } from '@postern/interface'

export interface AutonatServerInit {
  /** Whether an IP address may be dialled for somebody else. Private ones are those of this node's own network, where a
   * stranger must not have anything dialled.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayDial?: (address: string) => boolean
  /** Requests within a minute that an address is dialled for, of one peer.
   * @default 12 */
  readonly requestsPerPeer?: number
  /** The same of one IPv4 address, or one /64 of IPv6.
   * @default 24 */
  readonly requestsPerIp?: number
  /** The same of one /24 of IPv4, or one /48 of IPv6.
   * @default 30 */
  readonly requestsPerSubnet?: number
  /** The same of one /16 of IPv4, or one /32 of IPv6.
   * @default half of `requestsPerMinute` */
  readonly requestsPerNetwork?: number
  /** The same of all peers together. An IP address gets no more of them than are left for others.
   * @default 60 */
  readonly requestsPerMinute?: number
  /** Addresses that are dialled at the same time; of one peer at most two requests, dialled one after the other.
   * @default 16 */
  readonly concurrency?: number
  /** How long a dial may take, in ms.
   * @default 10_000 */
  readonly dialTimeoutMs?: number
  /** How many bytes a peer has to send before another address than its own is dialled; at most 200_000.
   * @default a random number from 30_000 to 100_000 */
  readonly dialDataBytes?: () => number
  /** The IP addresses of this machine: they are not dialled on a port that this node listens on, and without one of IPv6
   * that `mayDial` accepts no IPv6 address is dialled.
   * @default those of the network interfaces */
  readonly hostAddresses?: () => readonly string[]
  /** The clock for timeouts and limits.
   * @default the clock of this machine */
  readonly clock?: Clock
}

export type ServerSettings = Required<AutonatServerInit>

/** Reads the options once. Throws a TypeError for one that cannot be right. */
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
