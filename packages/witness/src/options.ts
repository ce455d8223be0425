import { checkOptions, familyOf, isGlobal } from '@postern/interface'
import { type ExchangeHttp, exchangeHttp, type Lookup, systemNames } from '@postern/net'
import { parseServerUrl, type ServerUrl } from './server-url.js'
import { maxHoldMs } from './wire/messages.js'

/** Options of {@link witness}. */
export interface WitnessOptions {
  /** The servers to ask, at most 16: `http://203.0.113.9:4003`, `https://witness.example.org`, `203.0.113.9:4003`. Two
   * on distinct networks are needed to have an address verified. */
  readonly servers: readonly string[]
  /** Whether a server at this IP address may be asked, and whether a connection from this address is proof. A server in
   * the local network cannot test from outside.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayAsk?: (address: string) => boolean
  /** Whether a server may be asked about this IP address of the host.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayVerify?: (address: string) => boolean
  /** How long one question may take, in milliseconds. A server waits 5 s for a connection.
   * @default 10_000 */
  readonly timeoutMs?: number
  /** How long the server holds a connection open before it half-closes it, in milliseconds; at most 1000. For a host
   * that sees connections only while they are open.
   * @default 0 */
  readonly holdMs?: number
  /** Looks up the names of servers.
   * @default the resolver of this machine */
  readonly lookup?: Lookup
  /** Makes HTTP requests. With one of your own, no connection is opened ahead.
   * @default real sockets */
  readonly exchangeHttp?: ExchangeHttp
}

/** The options with their defaults. */
export interface Settings extends Required<Omit<WitnessOptions, 'servers'>> {
  readonly servers: readonly ServerUrl[]
  /** Whether to connect to the servers before there is a question. */
  readonly connectsEarly: boolean
}

const maxServers = 16
/** The maximum of `timeoutMs`. */
const maxTimeoutMs = 60_000

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readOptions(options: WitnessOptions): Settings {
  checkOptions('witness()', options, {
    servers: 'any',
    mayAsk: 'function',
    mayVerify: 'function',
    timeoutMs: 'number',
    holdMs: 'number',
    lookup: 'function',
    exchangeHttp: 'function'
  })
  const {
    servers,
    mayAsk = isGlobal,
    mayVerify = isGlobal,
    timeoutMs = 10_000,
    holdMs = 0,
    lookup = systemNames,
    exchangeHttp: exchange
  } = options
  if (!Array.isArray(servers) || servers.length === 0 || servers.length > maxServers)
    throw new TypeError(`servers is not an array of 1 to ${maxServers} URLs of witnesses`)
  if (!(timeoutMs > 0 && timeoutMs <= maxTimeoutMs))
    throw new TypeError(`timeoutMs is not in 1…${maxTimeoutMs}: ${timeoutMs}`)
  if (!(holdMs >= 0 && holdMs <= maxHoldMs)) throw new TypeError(`holdMs is not in 0…${maxHoldMs}: ${holdMs}`)
  const read = servers.map((server: unknown) => readServer(server, mayAsk))
  return {
    servers: read,
    mayAsk,
    mayVerify,
    timeoutMs,
    holdMs,
    lookup,
    exchangeHttp: exchange ?? exchangeHttp,
    connectsEarly: exchange === undefined
  }
}

function readServer(text: unknown, mayAsk: (address: string) => boolean): ServerUrl {
  if (typeof text !== 'string')
    throw new TypeError(
      `a witness is named by a text such as http://203.0.113.9:4003, not by a value of type ${typeof text}`
    )
  const server = parseServerUrl(text)
  // The address of a name is checked when it is known.
  if (familyOf(server.host) !== undefined && !mayAsk(server.host))
    throw new TypeError(`a witness is at an address that may not be asked: ${text}`)
  return server
}
