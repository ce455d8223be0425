import { connect, type Socket } from 'node:net'
import { type CallOptions, type Clock, natError, within } from '@postern/interface'
import { addHandle } from '@postern/net'
import { connectError } from './errors.js'

/** How long a connection may take to be established, in milliseconds. The kernel repeats its request after 1, 3 and 7 s: a
 * new attempt is earlier than the last of these when an outage has ended. */
const connectMs = 4000

/** Connects to one of the addresses, in their order. Rejects with the error of the last one, a {@link NatError}. */
export async function connectAny(
  addresses: readonly string[],
  port: number,
  place: string,
  clock: Clock,
  call: CallOptions
): Promise<Socket> {
  const late = (): Error => natError('NO_REPLY', `${place} does not answer`)
  let failure: unknown
  for (const address of addresses) {
    try {
      return await within(clock, connectMs, call, late, (limited) => connectTo(address, port, place, limited))
    } catch (error) {
      call.signal.throwIfAborted()
      failure = error
    }
  }
  throw failure
}

function connectTo(host: string, port: number, place: string, { signal }: CallOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({ host, port, noDelay: true })
    socket.once('close', addHandle(socket))
    const aborted = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    const failed = (error: Error): void => reject(connectError(error, place))
    signal.addEventListener('abort', aborted, { once: true })
    socket.once('error', failed).once('close', () => signal.removeEventListener('abort', aborted))
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted)
      socket.off('error', failed)
      // ssh2 adds its own listener in the same turn or later; an error between them must not end the process.
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}
