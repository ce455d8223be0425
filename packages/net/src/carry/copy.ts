import type { Duplex } from 'node:stream'
import { nodeNet } from '../async/builtins.js'

/** Copies both ways until both streams have ended. The end of one is handed on to the other, which may still write. If
 * one is cut before its end, the other is reset, so that its reader does not take the cut for the end. */
export function copyBothWays(one: Duplex, other: Duplex): void {
  handOn(one, other)
  handOn(other, one)
}

function handOn(from: Duplex, to: Duplex): void {
  from.pipe(to)
  // What an error means for the other side is decided when the stream has closed.
  from.on('error', () => undefined)
  from.once('close', () => {
    if (!from.readableEnded) reset(to)
    else if (!from.writableFinished) endUnread(to)
  })
}

/** Ends a stream after what was written to it has been sent. Drops the bytes that arrive from now on. */
function endUnread(stream: Duplex): void {
  stream.resume()
  if (stream.writableFinished) stream.destroy()
  else stream.once('finish', () => stream.destroy())
}

/** Ends a stream at once, and resets the connection if it is one of TCP. */
export function reset(stream: Duplex): void {
  // A stream that is not read keeps its bytes, and an SSH channel does not close.
  stream.resume()
  if (stream instanceof nodeNet().Socket) stream.resetAndDestroy()
  else stream.destroy()
}
