import { checkOptions } from '@postern/interface'
import { type Lookup, type OpenUdp, openUdp, systemNames } from '@postern/net'
import { parseServer, type ServerName } from './server-name.js'

/** The options of {@link stun}. */
export interface StunOptions {
  /** The servers to ask, at most 8: `stun.example.org`, `203.0.113.1:3478`, `stun:[2001:db8::1]:3478`. The default port
   * is 3478. One server that supports RFC 5780 shows how the NAT behaves. Two servers without it, on distinct networks,
   * only show whether both see the same port. */
  readonly servers: readonly string[]
  /** Whether to test mapping, filtering and hairpin (RFC 5780) with servers that support it.
   * @default true */
  readonly behaviour?: boolean
  /** How often a request is sent before a server counts as silent: 4 take 7.5 s, 7 take the 39.5 s of RFC 8489 §6.2.1.
   * @default 4 */
  readonly requests?: number
  /** Looks up the names of servers.
   * @default the resolver of this machine */
  readonly lookup?: Lookup
  /** Opens the second UDP socket for the hairpin test.
   * @default real sockets */
  readonly openUdp?: OpenUdp
}

/** The options with their defaults. */
export interface Settings {
  readonly servers: readonly ServerName[]
  readonly behaviour: boolean
  readonly requests: number
  readonly lookup: Lookup
  readonly openUdp: OpenUdp
}

/** How many servers may be named. Two show the mapping behaviour, and some more show which one lies; each costs datagrams
 * at every observation. */
const maxServers = 8
/** The maximum number of transmissions of a request (Rc of RFC 8489 §6.2.1). */
const maxRequests = 7

/** Reads the options. Throws a TypeError for an invalid one. */
export function readOptions(options: StunOptions): Settings {
  checkOptions('stun()', options, {
    servers: 'any',
    behaviour: 'boolean',
    requests: 'any',
    lookup: 'function',
    openUdp: 'function'
  })
  const { servers, behaviour = true, requests = 4, lookup = systemNames, openUdp: open = openUdp } = options
  if (!Array.isArray(servers) || servers.length === 0 || servers.length > maxServers)
    throw new TypeError(`servers is not an array of 1 to ${maxServers} STUN servers`)
  const other: unknown = servers.find((server) => typeof server !== 'string')
  if (other !== undefined)
    throw new TypeError(`a STUN server is a text such as stun.example.org:3478, not ${typeof other}`)
  if (!Number.isInteger(requests) || requests < 1 || requests > maxRequests)
    throw new TypeError(`requests is not in 1…${maxRequests}: ${requests}`)
  return { servers: servers.map(parseServer), behaviour, requests, lookup, openUdp: open }
}
