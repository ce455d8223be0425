import type { Socket } from 'node:net'
import type { Clock } from '@postern/interface'

/**
 * Returns a function that stops reading from a socket for a time in ms; of several calls, the latest end counts. Data
 * that the socket has read is still delivered. `pause()` of the socket is not enough, because its reader may call
 * `resume()`.
 */
export function pausable(socket: Socket, clock: Clock): (ms: number) => void {
  let pausedUntilMs = 0
  let isPaused = false
  let isWanted = false
  const push = socket.push.bind(socket)
  const read = socket._read.bind(socket)
  // After push returns false, nothing is read until _read is called.
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => push(chunk, encoding) && !isPaused
  socket._read = (size) => {
    if (isPaused) isWanted = true
    else read(size)
  }

  const closed = new AbortController()
  socket.once('close', () => closed.abort())

  async function resumeInTime(): Promise<void> {
    try {
      for (let leftMs = 1; leftMs > 0; leftMs = pausedUntilMs - clock.monotonicMs()) await clock.sleep(leftMs, closed)
    } catch {
      return // The socket is closed.
    }
    isPaused = false
    if (!isWanted) return
    isWanted = false
    read(0)
  }

  return (ms) => {
    pausedUntilMs = Math.max(pausedUntilMs, clock.monotonicMs() + ms)
    if (isPaused) return
    isPaused = true
    void resumeInTime()
  }
}

/**
 * Stops reading from a socket after `maxBytes`, until the signal aborts. No data is lost: it stays in the kernel, and
 * the peer waits.
 */
export function holdAfter(socket: Socket, maxBytes: number, until: AbortSignal): void {
  let leftBytes = maxBytes
  let isWanted = false
  const isHeld = (): boolean => leftBytes <= 0 && !until.aborted
  const push = socket.push.bind(socket)
  const read = socket._read.bind(socket)
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk instanceof Uint8Array) leftBytes -= chunk.length
    return push(chunk, encoding) && !isHeld()
  }
  socket._read = (size) => {
    if (isHeld()) isWanted = true
    else read(size)
  }
  const resume = (): void => {
    if (!isWanted || socket.destroyed) return
    isWanted = false
    socket._read(0)
  }
  until.addEventListener('abort', resume, { once: true })
}
