import { nodeCrypto } from '@postern/net'

/** One line of a `known_hosts` file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) that is about the host in question. */
export interface KnownKey {
  /** The type of the key: `ssh-ed25519` for example. */
  readonly type: string
  /** The key in its wire format (RFC 4253 §6.6). */
  readonly key: Buffer
  /** Whether the key must not be accepted. */
  readonly isRevoked: boolean
  /** Where it stands, for people: `/home/me/.ssh/known_hosts:12`. */
  readonly where: string
}

/** Returns the name under which `known_hosts` lists a host: with its port, unless that is 22. */
export const nameInKnownHosts = (host: string, port: number): string =>
  port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`

/** Returns the keys that a `known_hosts` file has for a name. Lines that cannot be read are about no host, and lines of
 * certificate authorities are left out: ssh2 cannot check certificates. */
export function keysFor(name: string, text: string, file: string): readonly KnownKey[] {
  return text.split('\n').flatMap((line, index) => {
    const fields = line.trim().split(/[ \t]+/)
    const marker = fields[0]?.startsWith('@') === true ? fields.shift() : undefined
    const [hosts = '', type = '', encoded = ''] = fields
    if (hosts === '' || hosts.startsWith('#') || (marker !== undefined && marker !== '@revoked')) return []
    if (!isListed(name, hosts)) return []
    const key = Buffer.from(encoded, 'base64')
    if (typeOf(key) !== type) return []
    return [{ type, key, isRevoked: marker !== undefined, where: `${file}:${index + 1}` }]
  })
}

/** Returns whether the first field of a line is about a name. */
function isListed(name: string, hosts: string): boolean {
  if (hosts.startsWith('|')) return isHashOf(name, hosts)
  let isFound = false
  for (const pattern of hosts.toLowerCase().split(',')) {
    const isNegated = pattern.startsWith('!')
    if (!matches(name, isNegated ? pattern.slice(1) : pattern)) continue
    // A negated pattern that matches wins over all others of the line.
    if (isNegated) return false
    isFound = true
  }
  return isFound
}

/** `|1|salt|mac`, with mac = HMAC-SHA1 of the name, keyed with the salt. */
function isHashOf(name: string, field: string): boolean {
  const [, version, salt = '', mac] = field.split('|')
  if (version !== '1') return false
  return nodeCrypto().createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === mac
}

/** Returns whether a name matches a pattern with `*` and `?`. Takes a time that grows with the product of the lengths. */
function matches(name: string, pattern: string): boolean {
  let [at, place, star, mark] = [0, 0, -1, 0]
  while (at < name.length) {
    const wanted = pattern[place]
    if (wanted === '*') {
      star = place
      mark = at
      place += 1
    } else if (wanted === '?' || wanted === name[at]) {
      at += 1
      place += 1
    } else if (star !== -1) {
      mark += 1
      at = mark
      place = star + 1
    } else return false
  }
  return /^\**$/.test(pattern.slice(place))
}

/** Returns the type in a key (RFC 4253 §6.6: the first string in it); an empty text if there is none. */
export function typeOf(key: Buffer): string {
  if (key.length < 4) return ''
  const length = key.readUInt32BE(0)
  return length <= 64 && key.length >= 4 + length ? key.toString('latin1', 4, 4 + length) : ''
}

/** Returns the fingerprint of a key as OpenSSH prints it. */
export const fingerprintOf = (key: Buffer): string =>
  `SHA256:${nodeCrypto().createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
