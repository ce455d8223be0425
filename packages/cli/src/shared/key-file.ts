import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import {
  createFile,
  explainFileError,
  isHolder,
  makeFolder,
  readRegularFile,
  removeLeftovers,
  replaceFile,
  stateFile,
  takeLock
} from '@postern/node'
import { Failure } from './output.js'

/** Returns the default path of a key. Throws a {@link Failure} if there is no home folder. */
export function defaultKeyPath(name: string): string {
  const path = stateFile(`${name}.key`)
  if (path === undefined) throw new Failure('there is no home folder for the key. Set HOME, or name a file with --key')
  return path
}

/** The time limit for the disk, in ms; it normally takes milliseconds. */
const answerMs = 10_000
/** The age after which a temporary file counts as left by a killed process, in ms. A key is written in milliseconds. */
const leftoverMs = 60_000
/** How often, and with which pauses, to wait for another process that creates the same key. */
const tries = { count: 60, pauseMs: 50 } as const

/**
 * Loads a private key in the format of libp2p (protobuf, as kubo and go-libp2p use it). Creates one with mode 0600 if
 * there is no file, or an empty one, which a full disk or a power failure may leave. Two processes that create a key at
 * the same time get the same key.
 *
 * Rejects with a {@link Failure} that says what to do. Never overwrites a key that cannot be read.
 */
export async function loadKey(path: string, warn: (text: string) => void): Promise<PrivateKey> {
  const over = new AbortController()
  const late = sleep(answerMs, undefined, { signal: over.signal }).then(() => {
    throw new Failure(`the disk of the key ${path} does not answer. Name another place with --key`)
  })
  return Promise.race([readOrMake(path, warn), late]).finally(() => over.abort())
}

async function readOrMake(path: string, warn: (text: string) => void): Promise<PrivateKey> {
  let bytes = (await read(path)) ?? (await make(path))
  if (bytes.byteLength === 0) bytes = await refill(path, warn)
  await removeLeftovers(path, leftoverMs)
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    warn(`others can read the key ${path}: chmod 600 it`)
  }
  return parse(bytes, path)
}

function parse(bytes: Uint8Array, path: string): PrivateKey {
  try {
    return privateKeyFromProtobuf(bytes)
  } catch {
    throw new Failure(
      `${path} holds no private key of libp2p. Move it away for a new one (mv ${path} ${path}.old), or name another one with --key`
    )
  }
}

/** Resolves to the content of the file; undefined if there is none. */
async function read(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readRegularFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Failure(
      `the key ${path} cannot be read, ${explainFileError(error)}. Make it readable, or name another one with --key`,
      { cause: error }
    )
  }
}

const newKey = async (): Promise<Uint8Array> => privateKeyToProtobuf(await generateKeyPair('Ed25519'))

/** Creates a key. Resolves to the key in the file: the new one, or that of a process that was faster. */
async function make(path: string): Promise<Uint8Array> {
  const bytes = await newKey()
  try {
    await makeFolder(path)
    if (await createFile(path, bytes)) return bytes
  } catch (error) {
    throw unwritable(path, error)
  }
  const other = await read(path)
  if (other !== undefined) return other
  throw new Failure(
    `the key ${path} is a link to a file that is not there. Remove it (rm ${path}), or name another one with --key`
  )
}

/** Writes a key to an empty file, unless another process has done so. */
async function refill(path: string, warn: (text: string) => void): Promise<Uint8Array> {
  try {
    for (let each = 0; each < tries.count; each++) {
      const lock = await takeLock(path)
      if (isHolder(lock)) {
        await sleep(tries.pauseMs)
        continue
      }
      try {
        const now = await read(path)
        if (now !== undefined && now.byteLength > 0) return now
        const bytes = await newKey()
        await replaceFile(path, bytes)
        warn(`the key ${path} was empty: it is a new one, and so is the peer id`)
        return bytes
      } finally {
        await lock.release()
      }
    }
  } catch (error) {
    throw error instanceof Failure ? error : unwritable(path, error)
  }
  throw new Failure(`the key ${path} is empty, and another process does not finish writing it. Start this again`)
}

const unwritable = (path: string, error: unknown): Failure =>
  new Failure(
    `the key ${path} cannot be written, ${explainFileError(error)}. Then start this again, or name another place with --key`,
    {
      cause: error
    }
  )
