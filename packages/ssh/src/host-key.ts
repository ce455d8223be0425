import { readFile } from 'node:fs/promises'
import { errorText, type NatError, natError } from '@postern/interface'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import { fingerprintOf, type KnownKey, keysFor, nameInKnownHosts, typeOf } from './known-hosts.js'
import type { Settings } from './options.js'

/** Decides whether the key of the other host is the right one. */
export interface HostKeyCheck {
  /** The signature algorithms to offer, so that the host shows a key of a type that is known. */
  readonly algorithms: readonly ServerHostKeyAlgorithm[]
  /** Returns why a key is not accepted; undefined if it is. */
  refusal(key: Buffer): NatError | undefined
  /** Remembers a key with which the login has succeeded. */
  accept(key: Buffer): void
}

/** The memory of one strategy: the key that was accepted at first use. */
export interface FirstUse {
  key: Buffer | undefined
}

/** In the order in which they are preferred. SHA-1 signatures (`ssh-rsa`) are left out. */
const usual: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256'
]

/** Reads the known hosts and returns the check for one login. Rejects with `UNTRUSTED_REPLY` if a file exists and cannot
 * be read. */
export async function createHostKeyCheck(settings: Settings, firstUse: FirstUse): Promise<HostKeyCheck> {
  const known = settings.pins.length > 0 ? [] : await readKnown(settings)
  const good = known.filter(({ isRevoked }) => !isRevoked)
  return {
    algorithms: algorithmsFor(good, firstUse.key),
    refusal: (key) => {
      if (settings.pins.length > 0) return pinRefusal(settings, key)
      const isRevoked = (each: KnownKey): boolean => each.isRevoked && each.key.equals(key)
      const revoked = known.find(isRevoked)
      if (revoked !== undefined)
        return refused(settings, key, `which ${revoked.where} marks as revoked. Do not connect to it`)
      if (good.some((each) => each.key.equals(key))) return undefined
      const [first] = good
      if (first !== undefined) return refused(settings, key, changed(settings, first))
      if (!settings.trustOnFirstUse) return refused(settings, key, unknown(settings))
      if (firstUse.key === undefined || firstUse.key.equals(key)) return undefined
      return refused(settings, key, `and not ${fingerprintOf(firstUse.key)}, which it had at first`)
    },
    accept(key) {
      if (good.length === 0) firstUse.key ??= key
    }
  }
}

async function readKnown({ host, port, knownHosts }: Settings): Promise<readonly KnownKey[]> {
  const found: KnownKey[] = []
  const plain: KnownKey[] = []
  for (const file of knownHosts) {
    const text = await read(file)
    found.push(...keysFor(nameInKnownHosts(host, port), text, file))
    plain.push(...keysFor(nameInKnownHosts(host, 22), text, file))
  }
  // As `ssh` does: a host that is not known with its port may be known without it.
  return found.some(({ isRevoked }) => !isRevoked) ? found : [...found, ...plain]
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return ''
    throw natError('UNTRUSTED_REPLY', `the known hosts in ${file} cannot be read: ${errorText(cause)}`, { cause })
  }
}

function algorithmsFor(known: readonly KnownKey[], first: Buffer | undefined): readonly ServerHostKeyAlgorithm[] {
  const types = new Set<string>(first === undefined ? known.map(({ type }) => type) : [typeOf(first)])
  if (types.size === 0) return usual
  const offered = usual.filter((each) => types.has(each.startsWith('rsa-') ? 'ssh-rsa' : each))
  return types.size === 1 && types.has('ssh-rsa') ? [...offered, 'ssh-rsa'] : offered.length > 0 ? offered : usual
}

function pinRefusal(settings: Settings, key: Buffer): NatError | undefined {
  if (settings.pins.includes(fingerprintOf(key))) return undefined
  return refused(settings, key, `and \`hostKey\` names ${settings.pins.join(' and ')}. Check both before you change it`)
}

function refused({ host, port }: Settings, key: Buffer, why: string): NatError {
  return natError(
    'UNTRUSTED_REPLY',
    `the SSH server ${nameInKnownHosts(host, port)} shows the ${typeOf(key) || 'unknown'} key ${fingerprintOf(key)}, ${why}`
  )
}

const changed = ({ host, port }: Settings, { where, key }: KnownKey): string =>
  `but ${where} has ${fingerprintOf(key)}: another host may answer in its place. If its key was changed on purpose, run ` +
  `\`ssh-keygen -R "${nameInKnownHosts(host, port)}"\` and then \`${loginCommand(host, port)}\``

const unknown = ({ host, port }: Settings): string =>
  `which is not known here. Compare it with the server's own (\`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\` there), and ` +
  `run \`${loginCommand(host, port)}\` or \`${scanCommand(host, port)}\` to make it known, or set \`hostKey\``

const portOption = (port: number): string => (port === 22 ? '' : `-p ${port} `)
const loginCommand = (host: string, port: number): string => `ssh ${portOption(port)}${host}`
const scanCommand = (host: string, port: number): string =>
  `ssh-keyscan ${portOption(port)}${host} >> ~/.ssh/known_hosts`
