import { checkOptions } from '@postern/interface'
import { type OpenUdp, openUdp } from '@postern/net'
import { type Lookup, systemNames } from './lookup.js'
import { parseServer, type ServerName } from './server-name.js'

export interface StunOptions {
  /** The servers to ask, at most 8: `stun.example.org`, `203.0.113.1:3478`, `stun:[2001:db8::1]:3478`. The port is 3478
   * where none is named. One that knows RFC 5780 tells how the NAT behaves; two that do not, on distinct networks, show at
   * least whether both see the same port. */
  readonly servers: readonly string[]
  /** Whether to find out more than the address where a server can tell: mapping, filtering and hairpin (RFC 5780).
   * @default true */
  readonly behaviour?: boolean
  /** How often a question is sent before a server counts as silent: 4 take 7.5 s, 7 the 39.5 s of RFC 8489 §6.2.1.
   * @default 4 */
  readonly requests?: number
  /** How the names of servers are looked up.
   * @default as this machine does it */
  readonly lookup?: Lookup
  /** How a second UDP socket is opened, for the hairpin.
   * @default real sockets */
  readonly openUdp?: OpenUdp
}

export interface Settings {
  readonly servers: readonly ServerName[]
  readonly behaviour: boolean
  readonly requests: number
  readonly lookup: Lookup
  readonly openUdp: OpenUdp
}

const mostServers = 8
/** RFC 8489 §6.2.1: Rc. */
const mostRequests = 7

/** Reads the options once. Throws a TypeError for one that cannot be right. */
export function readOptions(options: StunOptions): Settings {
  checkOptions('stun()', options, {
    servers: 'any',
    behaviour: 'boolean',
    requests: 'any',
    lookup: 'function',
    openUdp: 'function'
  })
  const { servers, behaviour = true, requests = 4, lookup = systemNames, openUdp: open = openUdp } = options
  if (!Array.isArray(servers) || servers.length === 0 || servers.length > mostServers)
    throw new TypeError(`servers is not an array of 1 to ${mostServers} STUN servers`)
  const other: unknown = servers.find((server) => typeof server !== 'string')
  if (other !== undefined)
    throw new TypeError(`a STUN server is named by text such as stun.example.org:3478, and not by ${typeof other}`)
  if (!Number.isInteger(requests) || requests < 1 || requests > mostRequests)
    throw new TypeError(`requests is not in 1…${mostRequests}: ${requests}`)
  return { servers: servers.map(parseServer), behaviour, requests, lookup, openUdp: open }
}
