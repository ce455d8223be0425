import { connect as systemConnect } from 'node:net'
import { abortReason, anySignal, type CallOptions, type Clock, canonicalAddress } from '@postern/interface'
import type { Place } from '../wire/messages.js'

/** One connection to make. */
export interface ConnectOptions extends Place {
  /** The local address to connect from.
   * @default the address of the route */
  readonly localAddress: string | undefined
  readonly timeoutMs: number
  /** How long to wait after the connection is established before it is half-closed, in milliseconds. */
  readonly holdMs: number
  readonly clock: Clock
}

/** What became of an attempt. `failed` is a fault of this machine, and says nothing about the other side. */
export type Connected =
  | { readonly outcome: 'connected' | 'sent'; readonly from: Place }
  | { readonly outcome: 'refused' | 'timeout' | 'unreachable' | 'failed' }

/** An attempt to reach a place. */
export interface Attempt {
  /** Resolves when the connection is established or cannot be, or when the first datagram was sent. Never rejects. */
  readonly connected: Promise<Connected>
  /** Resolves when the socket is closed. Never rejects. */
  readonly closed: Promise<void>
}

/** How long the other side has to close its half, in milliseconds. */
const closeMs = 1000
/** Bytes beyond this that the other side sends are not read. */
const maxReadBytes = 65_536

const over = abortReason('the connection is over')

/**
 * Connects once, sends no bytes, and half-closes the connection with FIN. It is never reset while the other side may
 * still write: a reset ends Node.js servers without an error handler, and hides the address that it came from.
 */
export function connectOnce(options: ConnectOptions, { signal }: CallOptions): Attempt {
  const { address, port, localAddress, timeoutMs, holdMs, clock } = options
  const connected = Promise.withResolvers<Connected>()
  const closed = Promise.withResolvers<void>()
  const done = new AbortController()
  const call = { signal: anySignal([signal, done.signal]) }
  const socket = systemConnect({ host: address, port, ...(localAddress === undefined ? {} : { localAddress }) })
  let read = 0

  const later = (ms: number, then: () => void): void => void clock.sleep(ms, call).then(then, () => undefined)
  const stop = (): void => void socket.destroy()
  signal.addEventListener('abort', stop, { once: true })
  later(timeoutMs, () => {
    if (!socket.connecting) return
    connected.resolve({ outcome: 'timeout' })
    socket.destroy()
  })
  socket.on('connect', () => {
    const local = canonicalAddress(socket.localAddress ?? '')
    // A connection that was reset at once has no address.
    if (local === undefined || socket.localPort === undefined) return void socket.destroy()
    connected.resolve({ outcome: 'connected', from: { address: local, port: socket.localPort } })
    later(holdMs, () => {
      socket.end()
      later(closeMs, stop)
    })
  })
  // A greeting has to be read, since closing a socket with unread bytes resets it.
  socket.on('data', (bytes: Buffer) => {
    read += bytes.length
    if (read > maxReadBytes) socket.pause()
  })
  socket.on('error', (error) => connected.resolve({ outcome: outcomeOf(error) }))
  socket.on('close', () => {
    signal.removeEventListener('abort', stop)
    done.abort(over)
    connected.resolve({ outcome: 'failed' })
    closed.resolve()
  })
  if (signal.aborted) stop()
  return { connected: connected.promise, closed: closed.promise }
}

function outcomeOf(error: Error): 'refused' | 'timeout' | 'unreachable' | 'failed' {
  const code = 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED' || code === 'ECONNRESET') return 'refused'
  if (code === 'ETIMEDOUT') return 'timeout'
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'unreachable'
  return 'failed'
}
