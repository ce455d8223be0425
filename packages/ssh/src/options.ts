import { checkOptions } from '@postern/interface'
import { isHostName, type Lookup, systemNames } from '@postern/net'
import { defaultAgent, defaultKeyFiles, defaultKnownHosts, expandHome, systemUser } from './system.js'

/** Options of {@link ssh}. */
export interface SshOptions {
  /** The name or IP address of the other host. */
  readonly host: string
  /** The port of its SSH server.
   * @default 22 */
  readonly port?: number
  /** The user to log in as.
   * @default the user of this process */
  readonly username?: string
  /** The agent that has the private keys: the path of its socket or of its named pipe, or `pageant`. `false`: none.
   * @default `SSH_AUTH_SOCK`, on Windows else the pipe of OpenSSH; none if `keyFile` or `password` is given */
  readonly agent?: string | false
  /** The file with the private key, or several files that are tried in turn.
   * @default `~/.ssh/id_ed25519`, `id_ecdsa` and `id_rsa`, as far as they exist; none if `agent` or `password` is given */
  readonly keyFile?: string | readonly string[]
  /** What `keyFile` is encrypted with.
   * @default it is not encrypted */
  readonly passphrase?: string
  /** Resolves to the password. It is called once the keys have failed, and again only after a wrong password.
   * @default no password */
  readonly password?: () => Promise<string>
  /** The files with the keys of known hosts.
   * @default `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts` */
  readonly knownHosts?: string | readonly string[]
  /** The fingerprint of the only key that is accepted, `SHA256:…` as `ssh-keygen -lf` prints it, or several of them.
   * `knownHosts` is then not read.
   * @default the key has to be in `knownHosts` */
  readonly hostKey?: string | readonly string[]
  /** Whether to accept the first key of a host that is not in `knownHosts`. It is kept in memory only, so a host between
   * here and there can take the place of the other host at each start.
   * @default false */
  readonly trustOnFirstUse?: boolean
  /** The port to ask for on the other host. Ports below 1024 need root there.
   * @default the port that the caller suggests: that of the endpoint, or the last one that was granted */
  readonly externalPort?: number
  /** Whether another port may be taken while the one asked for is in use there. After a minute the wanted one is tried
   * again.
   * @default only before the first grant, and without `externalPort` */
  readonly allowOtherPort?: boolean
  /** The address to listen on at the other host, if it has several. Empty: all.
   * @default all */
  readonly bindAddress?: string
  /** The maximum number of concurrent connections to each endpoint.
   * @default 256 */
  readonly maxConnections?: number
  /** How often a keep-alive request is sent while the other host sends nothing, in milliseconds. The session counts as
   * lost after four times that time.
   * @default 2000 */
  readonly keepAliveMs?: number
  /** Looks up the name of the host.
   * @default the resolver of this machine */
  readonly lookup?: Lookup
}

/** The options with their defaults. */
export interface Settings {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly agent: string | undefined
  readonly keyFiles: readonly string[]
  /** Whether the user named the key files, so that an unreadable one is reported. */
  readonly namesKeys: boolean
  readonly passphrase: string | undefined
  readonly password: (() => Promise<string>) | undefined
  readonly knownHosts: readonly string[]
  readonly pins: readonly string[]
  readonly trustOnFirstUse: boolean
  readonly externalPort: number | undefined
  readonly allowOtherPort: boolean
  readonly bindAddress: string
  readonly maxConnections: number
  readonly keepAliveMs: number
  readonly lookup: Lookup
}

const maxKeepAliveMs = 300_000

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readOptions(options: SshOptions): Settings {
  checkOptions('ssh()', options, {
    host: 'string',
    port: 'number',
    username: 'string',
    agent: 'any',
    keyFile: 'any',
    passphrase: 'string',
    password: 'function',
    knownHosts: 'any',
    hostKey: 'any',
    trustOnFirstUse: 'boolean',
    externalPort: 'number',
    allowOtherPort: 'boolean',
    bindAddress: 'string',
    maxConnections: 'number',
    keepAliveMs: 'number',
    lookup: 'function'
  })
  const { host, port = 22, username = systemUser(), agent, keyFile, password, passphrase, externalPort } = options
  const { bindAddress = '', maxConnections = 256, keepAliveMs = 2000, lookup = systemNames } = options
  const { trustOnFirstUse = false, allowOtherPort = false } = options
  if (!isHostName(host)) throw new TypeError(`host is not a name or an IP address: ${JSON.stringify(host)}`)
  if (username === '') throw new TypeError('username is empty')
  if (agent !== undefined && agent !== false && (typeof agent !== 'string' || agent === ''))
    throw new TypeError('agent is not the path of a socket or pipe, "pageant", or false')
  checkPort('port', port)
  if (externalPort !== undefined) checkPort('externalPort', externalPort)
  if (!Number.isInteger(maxConnections) || maxConnections < 1)
    throw new TypeError(`maxConnections is not a positive integer: ${maxConnections}`)
  if (!(keepAliveMs >= 100 && keepAliveMs <= maxKeepAliveMs))
    throw new TypeError(`keepAliveMs is not in 100…${maxKeepAliveMs}: ${keepAliveMs}`)
  const usesDefaults = agent === undefined && keyFile === undefined && password === undefined
  return {
    host,
    port,
    username,
    agent: typeof agent === 'string' ? agent : usesDefaults ? defaultAgent() : undefined,
    keyFiles:
      keyFile === undefined ? (usesDefaults || agent === false ? defaultKeyFiles() : []) : files('keyFile', keyFile),
    namesKeys: keyFile !== undefined,
    passphrase,
    password,
    knownHosts: options.knownHosts === undefined ? defaultKnownHosts() : files('knownHosts', options.knownHosts),
    pins: options.hostKey === undefined ? [] : list('hostKey', options.hostKey).map(readPin),
    trustOnFirstUse,
    externalPort,
    allowOtherPort,
    bindAddress,
    maxConnections,
    keepAliveMs,
    lookup
  }
}

function checkPort(name: string, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TypeError(`${name} is not a port: ${port}`)
}

function list(name: string, given: unknown): readonly string[] {
  const all: unknown[] = Array.isArray(given) ? given : [given]
  if (all.length === 0) throw new TypeError(`${name} is empty`)
  return all.map((each) => {
    if (typeof each !== 'string' || each === '') throw new TypeError(`${name} is not a text, or an array of texts`)
    return each
  })
}

const files = (name: string, given: unknown): readonly string[] => list(name, given).map(expandHome)

/** Returns a fingerprint without the padding that some programs add. Throws a TypeError for another text. */
function readPin(text: string): string {
  const match = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(text)
  if (match === null)
    throw new TypeError(`hostKey is not a fingerprint such as SHA256:<43 characters>: ${JSON.stringify(text)}`)
  return `SHA256:${match[1]}`
}
