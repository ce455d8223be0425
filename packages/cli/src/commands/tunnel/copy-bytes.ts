import type { Socket } from 'node:net'
import type { Stream } from '@libp2p/interface'
import type { CallOptions } from '@postern/interface'
import { gateOf, untilWritable } from '@postern/libp2p-utils'
import { createRecordReader, endRecord, recordsOf } from './records.js'

/** The number of bytes that a spliced pair has carried. */
export interface Carried {
  readonly toStream: number
  readonly toSocket: number
  /** Whether both sides ended regularly; otherwise it was cut. */
  readonly whole: boolean
}

/**
 * Carries bytes between a TCP connection and a stream that is paused, until both have ended or one is cut.
 *
 * Each side's end is passed on by itself (half-close), and whatever is cut as a reset, also where libp2p ends the
 * stream in good order before the other side has said that there are no more bytes. A slow side slows the other one
 * down: the stream is paused while the socket is full, and the socket while the stream's window is. The socket must be
 * made with `allowHalfOpen`. When the signal aborts both are reset. Never rejects.
 */
export function splice(socket: Socket, stream: Stream, { signal }: CallOptions): Promise<Carried> {
  return new Promise((resolve) => {
    let toStream = 0
    let toSocket = 0
    const reader = createRecordReader()
    const gate = gateOf(stream)
    let hasSaidAll = false
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

    const pass = (bytes: Uint8Array): void => {
      for (const part of reader.read(bytes)) {
        toSocket += part.byteLength
        if (socket.writable && !socket.write(part)) gate.hold()
      }
    }

    const stopped = (): void => cut(new Error('the tunnel is closed here'))

    socket.on('data', (chunk) => {
      toStream += chunk.byteLength
      let isRoom = true
      try {
        for (const record of recordsOf(chunk)) isRoom = stream.send(record)
        if (isRoom) return
      } catch (error) {
        cut(asError(error))
        return
      }
      socket.pause()
      untilWritable(stream, { signal }).then(
        () => socket.resume(),
        (error: unknown) => cut(asError(error))
      )
    })
    socket.on('end', () => {
      try {
        stream.send(endRecord())
        hasSaidAll = true
        stream.close().catch((error: unknown) => cut(asError(error)))
      } catch (error) {
        cut(asError(error))
      }
    })
    socket.on('drain', gate.release)
    socket.on('error', cut)
    socket.on('close', () => {
      if (hasSaidAll && reader.hasEnded) finish(true)
      else cut(new Error('the TCP connection was cut'))
    })

    stream.addEventListener('message', ({ data }) => {
      // One system call for all parts of the message.
      socket.cork()
      try {
        for (const bytes of data instanceof Uint8Array ? [data] : data) pass(bytes)
      } catch (error) {
        cut(asError(error))
        return
      } finally {
        socket.uncork()
      }
      if (reader.hasEnded) socket.end()
    })
    const ended = (): void => {
      if (!reader.hasEnded) cut(new Error('the stream was cut'))
    }
    stream.addEventListener('end', ended)
    stream.addEventListener('close', ({ error }) => {
      if (error !== undefined) cut(error)
      else if (!hasSaidAll) cut(new Error('the stream was cut'))
      // Unread data is delivered when the socket can take more; `end` follows it.
      else if (stream.readBufferLength === 0) ended()
    })
    signal.addEventListener('abort', stopped, { once: true })
    if (signal.aborted) return stopped()
    // The socket may have emitted `close` already.
    if (socket.destroyed) return cut(new Error('the TCP connection was cut'))
    if (stream.readableEnded || (stream.status !== 'open' && stream.readBufferLength === 0)) return ended()
    gate.release()
    socket.resume()
  })
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
