import net, { type Socket, type TcpNetConnectOpts } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { type CallOptions, type Clock, type NatError, natError } from '@postern/interface'
import type { Budget } from './budget.js'
import type { Target } from './targets.js'

/** Makes a TCP socket. Replaced by tests for what no real network does. */
export type Connect = (options: TcpNetConnectOpts) => Socket

/** One local port and one place. */
export interface Pair {
  readonly localPort: number
  readonly target: Target
}

/** So many follow each other at once: two SYNs have to cross between two routers. */
const fastDials = 100
/** Then there is a pause, in ms. */
const pauseMs = 5

/** What the system says at once, when something on the way has answered the SYN instead of the peer. */
const refusals: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EACCES',
  'EPERM',
  'ENOPROTOOPT'
])
/** The port is still held by the attempt before. */
const taken: ReadonlySet<unknown> = new Set(['EADDRINUSE', 'EADDRNOTAVAIL'])

/** Connects from a port. Rejects with the system's error, or with the signal's reason; then no socket is left. */
export function connectFrom(connect: Connect, { localPort, target }: Pair, { signal }: CallOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const { host, port, family } = target
    const socket = connect({ host, port, family, localPort, noDelay: true })
    const failed = (error: Error): void => {
      signal.removeEventListener('abort', aborted)
      socket.destroy()
      reject(error)
    }
    const aborted = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', aborted, { once: true })
    // Also later: an error that nobody listens for would end the process.
    socket.on('error', failed)
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted)
      resolve(socket)
    })
  })
}

/**
 * Dials until it is connected. A SYN that was refused has left nothing behind on the routers: the same port is dialled
 * again at once, until the SYNs of both sides cross between the routers (RFC 9293 §3.5, simultaneous open).
 *
 * Rejects with `REFUSED` when it was refused too often, `QUOTA_EXCEEDED`, `UNREACHABLE` for everything else the system
 * says, or with the signal's reason.
 */
export async function dialAgain(
  connect: Connect,
  pair: Pair,
  mostDials: number,
  clock: Clock,
  budget: Budget,
  call: CallOptions
): Promise<Socket> {
  for (let dials = 1; ; dials++) {
    if (!budget.take(pair.target.host)) throw natError('QUOTA_EXCEEDED', `enough was sent to ${pair.target.host}`)
    try {
      return await connectFrom(connect, pair, call)
    } catch (error) {
      call.signal.throwIfAborted()
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (!refusals.has(code) && !taken.has(code)) throw unreachable(pair, error)
      if (dials >= mostDials) throw natError('REFUSED', `${textOf(pair)} was refused ${dials} times`, { cause: error })
      if (dials < fastDials && !taken.has(code)) await setImmediate()
      else await clock.sleep(pauseMs, call)
    }
  }
}

const unreachable = (pair: Pair, cause: unknown): NatError =>
  natError('UNREACHABLE', `${textOf(pair)} cannot be dialled: ${String(cause)}`, { cause })

const textOf = ({ localPort, target: { host, port } }: Pair): string => `${host} port ${port} from port ${localPort}`

/** What is used outside of tests. */
export const systemConnect: Connect = (options) => net.connect(options)
