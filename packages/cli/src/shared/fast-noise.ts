import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'

type Bytes = Uint8Array | Uint8ArrayList

/** Encrypts or decrypts one message (`ICrypto` of @libp2p/noise 17). */
type Transform = (data: Bytes, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array, into?: Uint8Array) => Bytes

interface NoiseCrypto {
  readonly encrypt: Transform
  readonly decrypt: Transform
}

const algorithm = 'chacha20-poly1305'
const tagBytes = 16
const cipherOptions = { authTagLength: tagBytes }
/** Shorter messages are left to @libp2p/noise, which has a faster function for them. */
const minBytes = 1200
/** Parts of a message below this size are joined before they are encrypted: they are headers. */
const maxJoinedBytes = 1024

/**
 * Makes the connections of @libp2p/noise carry bulk data with less CPU time. The protocol and its nonces stay with
 * @libp2p/noise, and the cipher with Node.js; messages below 1,200 bytes are left to both as they are.
 *
 * For each message @libp2p/noise creates the key object anew, passes each header to the cipher alone, copies what it
 * decrypts once more than necessary, and @libp2p/tcp makes one system call for each part. Throws for an encrypter that
 * is not @libp2p/noise 17.
 */
export const fastNoise =
  <C>(make: (components: C) => ConnectionEncrypter) =>
  (components: C): ConnectionEncrypter => {
    const encrypter = make(components)
    if (!hasCrypto(encrypter)) throw new Error('this version of @libp2p/noise is not known here')
    Object.assign(encrypter.crypto, fastCrypto({ ...encrypter.crypto }))
    const inbound = encrypter.secureInbound.bind(encrypter)
    const outbound = encrypter.secureOutbound.bind(encrypter)
    return Object.assign(encrypter, {
      secureInbound: async (...[stream, ...rest]: Parameters<typeof inbound>) =>
        decryptOnce(await inbound(writeAtOnce(stream), ...rest)),
      secureOutbound: async (...[stream, ...rest]: Parameters<typeof outbound>) =>
        decryptOnce(await outbound(writeAtOnce(stream), ...rest))
    })
  }

function fastCrypto({ encrypt, decrypt }: NoiseCrypto): NoiseCrypto {
  /** A connection has one key for each direction, and passes the same array with each message. */
  const keys = new WeakMap<Uint8Array, KeyObject>()
  function keyOf(bytes: Uint8Array): KeyObject {
    const key = keys.get(bytes) ?? createSecretKey(bytes)
    keys.set(bytes, key)
    return key
  }

  return {
    encrypt(data, nonce, ad, key) {
      if (data.byteLength < minBytes) return encrypt(data, nonce, ad, key)
      const cipher = createCipheriv(algorithm, keyOf(key), nonce, cipherOptions)
      cipher.setAAD(ad, { plaintextLength: data.byteLength })
      const encrypted = new Uint8ArrayList()
      for (const part of joinSmall(data)) encrypted.append(cipher.update(part))
      cipher.final()
      encrypted.append(cipher.getAuthTag())
      return encrypted
    },
    decrypt(data, nonce, ad, key, into) {
      if (data.byteLength < minBytes) return decrypt(data, nonce, ad, key, into)
      const length = data.byteLength - tagBytes
      const decipher = createDecipheriv(algorithm, keyOf(key), nonce, cipherOptions)
      decipher.setAAD(ad, { plaintextLength: length })
      decipher.setAuthTag(data.subarray(length))
      const decrypted = new Uint8ArrayList()
      for (const part of partsOf(data instanceof Uint8Array ? data.subarray(0, length) : data.sublist(0, length)))
        decrypted.append(decipher.update(part))
      // Throws if the message was changed on its way. Nothing of it has been passed on.
      decipher.final()
      return decrypted
    }
  }
}

/** Returns the parts of data without copying them. */
const partsOf = (data: Bytes): Iterable<Uint8Array> => (data instanceof Uint8Array ? [data] : data)

/** Returns the parts of data, small neighbours joined. */
function joinSmall(data: Bytes): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  let small: Uint8Array[] = []
  const join = (): void => {
    if (small.length > 0) parts.push(Buffer.concat(small))
    small = []
  }
  for (const part of partsOf(data)) {
    if (part.byteLength < maxJoinedBytes) small.push(part)
    else {
      join()
      parts.push(part)
    }
  }
  join()
  return parts
}

/** Has a TCP connection write all parts of a message in one system call. Other connections stay as they are. */
function writeAtOnce<S extends MessageStream>(stream: S): S {
  if (!isTcp(stream)) return stream
  const { socket } = stream
  const sendData = stream.sendData.bind(stream)
  stream.sendData = (data) => {
    socket.cork()
    try {
      return sendData(data)
    } finally {
      socket.uncork()
    }
  }
  return stream
}

/** Has a secured connection decrypt long messages without the copy that @libp2p/noise makes for a cipher that decrypts
 * in place. A message is one chunk, because its length has two bytes. */
function decryptOnce<E>(secured: SecuredConnection<E>): SecuredConnection<E> {
  const { connection } = secured
  if (!isNoiseStream(connection)) throw new Error('this version of @libp2p/noise is not known here')
  const { handshake, metrics } = connection
  const decrypt = connection.decrypt.bind(connection)
  connection.decrypt = (chunk) => {
    if (chunk.byteLength < minBytes) return decrypt(chunk)
    try {
      const decrypted = handshake.decrypt(chunk)
      metrics?.decryptedPackets.increment()
      return decrypted
    } catch (error) {
      metrics?.decryptErrors.increment()
      throw error
    }
  }
  return secured
}

function hasCrypto<E extends ConnectionEncrypter>(encrypter: E): encrypter is E & { readonly crypto: NoiseCrypto } {
  if (!('crypto' in encrypter)) return false
  const { crypto } = encrypter
  return typeof crypto === 'object' && crypto !== null && 'encrypt' in crypto && 'decrypt' in crypto
}

/** A connection of @libp2p/tcp 11. */
interface Tcp {
  readonly socket: { cork(): void; uncork(): void }
  sendData(data: Uint8ArrayList): unknown
}

function isTcp<S extends object>(stream: S): stream is S & Tcp {
  if (!('socket' in stream) || !('sendData' in stream)) return false
  const { socket } = stream
  return typeof socket === 'object' && socket !== null && 'cork' in socket && 'uncork' in socket
}

/** A secured connection of @libp2p/noise 17. */
interface NoiseStream {
  readonly handshake: { decrypt(data: Bytes): Bytes }
  readonly metrics?: { readonly decryptedPackets: Counter; readonly decryptErrors: Counter } | undefined
  decrypt(chunk: Bytes): Bytes
}

interface Counter {
  increment(): void
}

const isNoiseStream = (stream: object): stream is NoiseStream => 'handshake' in stream && 'decrypt' in stream
