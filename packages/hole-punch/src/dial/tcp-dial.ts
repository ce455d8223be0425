import net, { type Socket, type TcpNetConnectOpts } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { type CallOptions, type Clock, type NatError, natError } from '@postern/interface'
import type { Budget } from './syn-budget.js'
import type { Target } from './targets.js'

/** Creates a TCP socket, as `net.connect` does. Tests replace it to simulate rare failures. */
export type Connect = (options: TcpNetConnectOpts) => Socket

/** One local port and the target that it dials. */
export interface Pair {
  readonly localPort: number
  readonly target: Target
}

/** How many dials follow each other without a pause, so that the SYNs of both sides cross between the routers. */
const fastDials = 100
/** The pause before each further dial, in milliseconds. */
const pauseMs = 5

/** Error codes of the system when a router or host on the path has refused the SYN. */
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
/** Error codes of the system while the previous attempt still holds the port. */
const taken: ReadonlySet<unknown> = new Set(['EADDRINUSE', 'EADDRNOTAVAIL'])

/** Connects from a local port. Rejects with the system's error or the signal's reason; then no socket is left. */
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
    // Keep this listener: an unhandled error event would end the process.
    socket.on('error', failed)
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted)
      resolve(socket)
    })
  })
}

/**
 * Dials until the socket is connected. A refused SYN leaves no state on the routers, so the same port is dialled again
 * immediately, until the SYNs of both sides cross between the routers (RFC 9293 §3.5, simultaneous open).
 *
 * Rejects with `REFUSED` after `maxDials` refusals, with `QUOTA_EXCEEDED` if the budget is spent, with `UNREACHABLE`
 * for any other error of the system, or with the signal's reason.
 */
export async function dialAgain(
  connect: Connect,
  pair: Pair,
  maxDials: number,
  clock: Clock,
  budget: Budget,
  call: CallOptions
): Promise<Socket> {
  for (let dials = 1; ; dials++) {
    if (!budget.take(pair.target.host))
      throw natError('QUOTA_EXCEEDED', `the limit of SYNs to ${pair.target.host} is reached`)
    try {
      return await connectFrom(connect, pair, call)
    } catch (error) {
      call.signal.throwIfAborted()
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (!refusals.has(code) && !taken.has(code)) throw unreachable(pair, error)
      if (dials >= maxDials) throw natError('REFUSED', `${textOf(pair)} was refused ${dials} times`, { cause: error })
      if (dials < fastDials && !taken.has(code)) await setImmediate()
      else await clock.sleep(pauseMs, call)
    }
  }
}

const unreachable = (pair: Pair, cause: unknown): NatError =>
  natError('UNREACHABLE', `${textOf(pair)} cannot be dialled: ${String(cause)}`, { cause })

const textOf = ({ localPort, target: { host, port } }: Pair): string => `${host} port ${port} from port ${localPort}`

/** Creates sockets with `net.connect`; the default of the `connect` option. */
export const systemConnect: Connect = (options) => net.connect(options)
