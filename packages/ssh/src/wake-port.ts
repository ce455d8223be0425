import type { CallOptions, Clock } from '@postern/interface'
import { addHandle, nodeNet } from '@postern/net'

/** How long the connection may take, in milliseconds. */
const wakeMs = 1000

/**
 * Connects to a port of the other host once, and closes the connection. Never rejects.
 *
 * A lost session of this host may hold the port: the other host has nothing to send there, and so notices nothing. This
 * connection makes it send something, and the kernel here answers with a reset.
 */
export function wakePort(
  place: { readonly host: string; readonly port: number },
  clock: Clock,
  { signal }: CallOptions
): Promise<void> {
  return new Promise((resolve) => {
    const over = new AbortController()
    const socket = nodeNet().connect(place)
    const end = (): void => void socket.destroy()
    socket.once('close', addHandle(socket)).once('close', () => {
      signal.removeEventListener('abort', end)
      over.abort()
      resolve()
    })
    // That nothing listens there is no failure.
    socket.once('connect', end).on('error', end)
    signal.addEventListener('abort', end, { once: true })
    clock.sleep(wakeMs, over).then(end, end)
    if (signal.aborted) end()
  })
}
