import type { Socket } from 'node:net'
import type { Stream } from '@libp2p/interface'
import type { CallOptions } from '@postern/interface'

/** What a spliced pair has carried, in bytes. */
export interface Carried {
  readonly toStream: number
  readonly toSocket: number
  /** Both sides said that they had no more; otherwise it was cut. */
  readonly whole: boolean
}

/**
 * Carries bytes between a TCP connection and a stream that is paused, until both have ended or one is cut.
 *
 * Each side's end is passed on by itself (half-close), a reset as a reset. Whoever is slow holds the other one up: the
 * stream is paused while the socket is full, and the socket while the stream's window is. The socket must be made with
 * `allowHalfOpen`. When the signal aborts both are reset, which must come before the node stops: that ends its streams as
 * if all had been said. Never rejects.
 */
export function splice(socket: Socket, stream: Stream, { signal }: CallOptions): Promise<Carried> {
  return new Promise((resolve) => {
    let toStream = 0
    let toSocket = 0
    let remoteEnded = stream.remoteWriteStatus === 'closed' && stream.status === 'open'
    let received = false
    let over = false

    const finish = (whole: boolean): void => {
      if (over) return
      over = true
      signal.removeEventListener('abort', stopped)
      resolve({ toStream, toSocket, whole })
    }
    const cut = (error: Error): void => {
      stream.abort(error)
      if (!socket.destroyed) socket.resetAndDestroy()
      finish(false)
    }

    const stopped = (): void => cut(new Error('the tunnel is closed here'))

    socket.on('data', (chunk) => {
      toStream += chunk.byteLength
      try {
        if (stream.send(chunk)) return
      } catch (error) {
        cut(asError(error))
        return
      }
      socket.pause()
      stream.onDrain().then(
        () => socket.resume(),
        (error: unknown) => cut(asError(error))
      )
    })
    socket.on('end', () => {
      stream.close().catch((error: unknown) => cut(asError(error)))
    })
    socket.on('drain', () => {
      if (stream.readStatus === 'paused') stream.resume()
    })
    socket.on('error', cut)
    socket.on('close', () => {
      if (socket.readableEnded && received) finish(true)
      else cut(new Error('the TCP connection was cut'))
    })

    stream.addEventListener('message', ({ data }) => {
      toSocket += data.byteLength
      if (!socket.writable) return
      if (!socket.write(data.subarray()) && stream.readStatus === 'readable') stream.pause()
    })
    stream.addEventListener('remoteCloseWrite', () => {
      remoteEnded = true
    })
    const ended = (): void => {
      // libp2p tells an end, too, where the connection below is gone: what came then is not all there was.
      if (!remoteEnded) return cut(new Error('the stream was cut'))
      received = true
      socket.end()
    }
    stream.addEventListener('end', ended)
    stream.addEventListener('close', ({ error }) => {
      if (error !== undefined) cut(error)
      else if (!remoteEnded) cut(new Error('the stream was cut'))
    })
    signal.addEventListener('abort', stopped, { once: true })
    if (signal.aborted) return stopped()
    if (stream.status !== 'open' && stream.readBufferLength === 0 && !remoteEnded) {
      cut(new Error('the stream was cut'))
      return
    }
    if (stream.readableEnded) ended()
    else if (stream.readStatus === 'paused') stream.resume()
    socket.resume()
  })
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
