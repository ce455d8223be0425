import { type NatError, natError } from '@postern/interface'
import { nodeCrypto } from '@postern/net'

/** The end of a frame: `AnyDelimiterCodec` in bore's src/shared.rs. */
const delimiter = 0
/** The maximum length of a frame without its end, in bytes: `MAX_FRAME_LENGTH` in bore's src/shared.rs. */
export const maxFrameBytes = 256

/** A message of the server: `ServerMessage` in bore's src/shared.rs. */
export type ServerMessage =
  | { readonly kind: 'challenge'; readonly id: string }
  | { readonly kind: 'hello'; readonly port: number }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'connection'; readonly id: string }
  | { readonly kind: 'error'; readonly text: string }

/** Encodes the request for a port; 0 leaves the choice to the server. */
export const encodeHello = (port: number): Buffer => frameOf({ Hello: port })

/** Encodes the first message of a connection that takes over a client. */
export const encodeAccept = (id: string): Buffer => frameOf({ Accept: id })

/** Encodes the answer to a challenge: HMAC-SHA256 of the 16 bytes of its id, with the SHA-256 hash of the secret as the
 * key (bore's src/auth.rs). */
export function encodeAnswer(challenge: string, secret: string): Buffer {
  const { createHash, createHmac } = nodeCrypto()
  const key = createHash('sha256').update(secret).digest()
  const tag = createHmac('sha256', key)
    .update(Buffer.from(challenge.replaceAll('-', ''), 'hex'))
    .digest('hex')
  return frameOf({ Authenticate: tag })
}

const frameOf = (message: object): Buffer => Buffer.from(`${JSON.stringify(message)}\0`)

/** Decodes a frame without its end. Throws the {@link NatError} `MALFORMED_REPLY`. */
export function decodeServerMessage(frame: Uint8Array): ServerMessage {
  const message = parse(frame)
  if (message === 'Heartbeat') return { kind: 'heartbeat' }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) throw malformed(frame)
  const [entry, ...others] = Object.entries(message)
  if (entry === undefined || others.length > 0) throw malformed(frame)
  const [name, body]: readonly [string, unknown] = entry
  if (name === 'Challenge' && isId(body)) return { kind: 'challenge', id: body }
  if (name === 'Connection' && isId(body)) return { kind: 'connection', id: body }
  if (name === 'Hello' && isPort(body)) return { kind: 'hello', port: body }
  if (name === 'Error' && typeof body === 'string') return { kind: 'error', text: body }
  throw malformed(frame)
}

function parse(frame: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(frame))
  } catch {
    throw malformed(frame)
  }
}

const isId = (value: unknown): value is string =>
  typeof value === 'string' && /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value)

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535

const malformed = (frame: Uint8Array): NatError =>
  natError('MALFORMED_REPLY', `not a message of a bore server: ${Buffer.from(frame).toString('latin1')}`)

/** The first frame of some bytes, without its end, and the bytes after it. */
export interface Taken {
  readonly frame: Buffer
  readonly rest: Buffer
}

/** Takes the first frame of some bytes. Returns undefined if its end has not arrived. Throws the {@link NatError}
 * `REPLY_TOO_LARGE` for a frame that is too long, also before its end has arrived. */
export function takeFrame(bytes: Buffer): Taken | undefined {
  const end = bytes.indexOf(delimiter)
  if ((end === -1 ? bytes.length : end) > maxFrameBytes)
    throw natError('REPLY_TOO_LARGE', `a message of the bore server is longer than ${maxFrameBytes} bytes`)
  return end === -1 ? undefined : { frame: bytes.subarray(0, end), rest: bytes.subarray(end + 1) }
}
