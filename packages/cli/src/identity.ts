import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { Failure } from './output.js'

/** Where a key lies that nobody has given a place. */
export const defaultKeyPath = (name: string): string =>
  join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'postern', `${name}.key`)

/**
 * The private key in a file, as libp2p writes it (protobuf; kubo and go-libp2p read the same). Makes one, with mode 0600,
 * where there is no file.
 *
 * Rejects with an error that says what to do: a key that cannot be read is never written over.
 */
export async function loadKey(path: string, warn: (text: string) => void): Promise<PrivateKey> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return undefined
    throw new Failure(
      `the key ${path} cannot be read: ${textOf(error)}. Make it readable, or name another one with --key`
    )
  })
  if (bytes === undefined) return makeKey(path)
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    warn(`others can read the key ${path}: chmod 600 it`)
  }
  try {
    return privateKeyFromProtobuf(bytes)
  } catch {
    throw new Failure(`${path} holds no private key of libp2p. Move it away, or name another one with --key`)
  }
}

async function makeKey(path: string): Promise<PrivateKey> {
  const key = await generateKeyPair('Ed25519')
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    // Never over a file: two programs that start at the same time would end up with two keys.
    await writeFile(path, privateKeyToProtobuf(key), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    throw new Failure(`the key ${path} cannot be written: ${textOf(error)}. Name another place with --key`, {
      cause: error
    })
  }
  return key
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
