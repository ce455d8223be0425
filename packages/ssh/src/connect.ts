import type { Socket } from 'node:net'
import { type CallOptions, type Clock, natError, within } from '@postern/interface'
import { addHandle, nodeNet } from '@postern/net'
import { connectError } from './errors.js'

/** How long one address may take to accept, in milliseconds. The kernel repeats a lost request after 1 s, then ever later:
 * a new attempt notices the end of an outage sooner. */
const acceptMs = 3000

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
      return await within(clock, acceptMs, call, late, (limited) => connectTo(address, port, place, limited))
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
    const socket = nodeNet().connect({ host, port, noDelay: true })
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
