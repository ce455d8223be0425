import { checkOptions, familyOf } from '@postern/interface'
import { type AnswerTimes, type ExchangeHttp, exchangeHttp, type OpenUdp, openUdp, type Queue } from '@postern/net'
import { ssdpPort } from './ssdp.js'

export interface UpnpOptions {
  /** The router to ask, as an IPv4 address.
   * @default the next hop of every default route */
  readonly gateway?: string
  /** The UDP port that routers are searched on, and announce themselves to.
   * @default 1900 */
  readonly ssdpPort?: number
  /** What the router's list of mappings calls ours: 1 to 30 printable ASCII characters.
   * @default 'postern' */
  readonly description?: string
  /** How UDP sockets are opened.
   * @default real sockets */
  readonly openUdp?: OpenUdp
  /** How HTTP requests are made.
   * @default real connections */
  readonly exchangeHttp?: ExchangeHttp
}

export interface Settings {
  readonly named: string | undefined
  readonly ssdpPort: number
  readonly description: string
  readonly openUdp: OpenUdp
  readonly exchangeHttp: ExchangeHttp
  /** What lasts of talking to the gateway of an address. */
  readonly lineOf: (address: string) => Line
}

export interface Line {
  /** How long it took to answer. */
  readonly times: AnswerTimes
  /** One action at a time, since several routers handle no second request meanwhile. */
  readonly inTurn: Queue
}

/** Reads the options once. Throws a TypeError for one that cannot be right. */
export function readOptions(options: UpnpOptions): Omit<Settings, 'lineOf'> {
  checkOptions('upnp()', options, {
    gateway: 'string',
    ssdpPort: 'any',
    description: 'string',
    openUdp: 'function',
    exchangeHttp: 'function'
  })
  const {
    gateway,
    ssdpPort: port = ssdpPort,
    description = 'postern',
    openUdp: open = openUdp,
    exchangeHttp: exchange = exchangeHttp
  } = options
  if (gateway !== undefined && familyOf(gateway) !== 4) throw new TypeError(`gateway is no IPv4 address: ${gateway}`)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TypeError(`ssdpPort is no port: ${port}`)
  // Longer ones, and others than ASCII, make some routers refuse the mapping.
  if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,28}[\x21-\x7e])?$/.test(description)) {
    throw new TypeError(`description is not 1 to 30 printable ASCII characters: ${description}`)
  }
  return { named: gateway, ssdpPort: port, description, openUdp: open, exchangeHttp: exchange }
}
