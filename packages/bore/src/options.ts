import { checkOptions, familyOf } from '@postern/interface'
import { isHostName, type Lookup, systemNames } from '@postern/net'

/** Options of {@link bore}. */
export interface BoreOptions {
  /** The name or IP address of the bore server. */
  readonly host: string
  /** The secret of the server.
   * @default the server has none */
  readonly secret?: string
  /** The port to ask for at the server. It serves one endpoint only.
   * @default the port that the caller suggests: that of the endpoint, or the last one that was granted */
  readonly externalPort?: number
  /** Whether another port may be taken while the one asked for is in use at the server. After a minute the wanted one is
   * tried again.
   * @default only before the first grant, and without `externalPort` */
  readonly allowOtherPort?: boolean
  /** The port of the control connection. A bore server always listens on 7835; another port is for a server behind a
   * forward.
   * @default 7835 */
  readonly controlPort?: number
  /** The maximum number of concurrent connections to each endpoint.
   * @default 256 */
  readonly maxConnections?: number
  /** Looks up the name of the server.
   * @default the resolver of this machine */
  readonly lookup?: Lookup
}

/** The options with their defaults. */
export interface Settings {
  readonly host: string
  readonly secret: string | undefined
  readonly externalPort: number | undefined
  readonly allowOtherPort: boolean
  readonly controlPort: number
  readonly maxConnections: number
  readonly lookup: Lookup
}

/** `CONTROL_PORT` in bore's src/shared.rs. */
const defaultControlPort = 7835

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readOptions(options: BoreOptions): Settings {
  checkOptions('bore()', options, {
    host: 'string',
    secret: 'string',
    externalPort: 'number',
    allowOtherPort: 'boolean',
    controlPort: 'number',
    maxConnections: 'number',
    lookup: 'function'
  })
  const { host, secret, externalPort, allowOtherPort = false, controlPort = defaultControlPort } = options
  const { maxConnections = 256, lookup = systemNames } = options
  if (typeof host !== 'string' || !isHostName(host))
    throw new TypeError(`host is not a name or an IP address: ${JSON.stringify(host)}`)
  if (secret === '') throw new TypeError('secret is empty: leave it out for a server without one')
  if (!isPort(controlPort)) throw new TypeError(`controlPort is not a port: ${controlPort}`)
  if (externalPort !== undefined && !isPort(externalPort))
    throw new TypeError(`externalPort is not a port: ${externalPort}`)
  if (!Number.isInteger(maxConnections) || maxConnections < 1)
    throw new TypeError(`maxConnections is not a positive integer: ${maxConnections}`)
  return { host, secret, externalPort, allowOtherPort, controlPort, maxConnections, lookup }
}

/**
 * Parses `bore.example.org`, `203.0.113.9`, `[2001:db8::1]:7835`, each optionally after `bore:`. A port is that of the control
 * connection. Returns options with the secret from the environment variable `BORE_SECRET`, which the `bore` command
 * reads too: every user of a machine can read the command line of a program. Throws a TypeError that quotes the text.
 */
export function fromText(text: string): BoreOptions {
  const bare = text.replace(/^bore:/i, '')
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(bare)
  const [, bracketed, plain, digits] = match ?? []
  const host = familyOf(bare) === 6 ? bare : (bracketed ?? plain ?? '')
  const controlPort = digits === undefined ? undefined : Number(digits)
  const isHost = bracketed === undefined || familyOf(host) === 6 ? isHostName(host) : false
  if (!isHost || (controlPort !== undefined && !isPort(controlPort)))
    throw new TypeError(`"${text.slice(0, 80)}" is not a bore server: give it as bore.example.org or <ip>`)
  const { BORE_SECRET: secret = '' } = process.env
  return { host, ...(secret === '' ? {} : { secret }), ...(controlPort === undefined ? {} : { controlPort }) }
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535
