import { checkOptions, familyOf } from '@postern/interface'
import { type ExchangeHttp, exchangeHttp, type OpenUdp, openUdp } from '@postern/net'
import type { Settings } from './settings.js'
import { ssdpPort } from './ssdp/message.js'

/** The options of {@link upnp}. */
export interface UpnpOptions {
  /** The IPv4 address of the router to ask.
   * @default the next hop of every default route */
  readonly gateway?: string
  /** The UDP port to which searches and announcements are sent.
   * @default 1900 */
  readonly ssdpPort?: number
  /** The description of the mappings in the router's list: 1 to 30 printable ASCII characters.
   * @default 'postern' */
  readonly description?: string
  /** Opens UDP sockets.
   * @default real sockets */
  readonly openUdp?: OpenUdp
  /** Makes HTTP requests.
   * @default real connections */
  readonly exchangeHttp?: ExchangeHttp
}

/** Reads the options. Throws a TypeError for an invalid one. */
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
  if (gateway !== undefined && familyOf(gateway) !== 4)
    throw new TypeError(`gateway is not an IPv4 address: ${gateway}`)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TypeError(`ssdpPort is not a port: ${port}`)
  // Some routers refuse a mapping with a longer description, or with characters outside ASCII.
  if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,28}[\x21-\x7e])?$/.test(description)) {
    throw new TypeError(`description is not 1 to 30 printable ASCII characters: ${description}`)
  }
  return { named: gateway, ssdpPort: port, description, openUdp: open, exchangeHttp: exchange }
}
