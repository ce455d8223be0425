import type { Socket } from 'node:net'
import { type CallOptions, type Clock, within } from '@postern/interface'
import { addHandle, nodeNet } from '@postern/net'
import { connectError, silent } from './errors.js'

/** An address of the server. */
export interface ServerAddress {
  readonly address: string
  readonly port: number
}

/** How long the server may take to accept a connection, in milliseconds. */
const connectMs = 5000
/** When the kernel begins to ask whether the other end of an idle connection is still there, in milliseconds. */
const keepAliveMs = 30_000

/** Returns an address for messages. */
export const placeOf = ({ address, port }: ServerAddress): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

/** Connects to the server. Rejects with the signal's reason, or with `REFUSED`, `UNREACHABLE` or `NO_REPLY`. */
export function dial(server: ServerAddress, clock: Clock, call: CallOptions): Promise<Socket> {
  const place = placeOf(server)
  return within(
    clock,
    connectMs,
    call,
    () => silent(place),
    ({ signal }) => {
      const { address: host, port } = server
      // The answer to a request that ends with FIN would be lost without `allowHalfOpen`. A client that has vanished would
      // take a place for good without `keepAlive`.
      const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }
      const socket = nodeNet().connect({ host, port, ...options })
      // Without a listener, an error would end the process.
      socket.on('error', () => undefined)
      socket.once('close', addHandle(socket))
      return new Promise((resolve, reject) => {
        const aborted = (): void => {
          socket.destroy()
          reject(signal.reason)
        }
        signal.addEventListener('abort', aborted, { once: true })
        socket.once('error', (error) => reject(connectError(error, place)))
        socket.once('connect', () => {
          signal.removeEventListener('abort', aborted)
          resolve(socket)
        })
      })
    }
  )
}
