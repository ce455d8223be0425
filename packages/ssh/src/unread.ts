import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** The unread bytes of one channel that end the session. The window of a channel of ssh2 has 2 MB. */
const maxUnreadBytes = 8_388_608

/** Watches the streams that come over a connection, and calls `exceeded` when one holds too many bytes that are not read: ssh2
 * keeps what the other host sends beyond the window of a channel. Returns a function that adds a stream. */
export function watchUnread(socket: Socket, exceeded: () => void): (stream: Duplex) => void {
  const streams = new Set<Duplex>()
  let checkedBytes = 0
  socket.on('data', () => {
    if (socket.bytesRead - checkedBytes < maxUnreadBytes / 2) return
    checkedBytes = socket.bytesRead
    for (const { readableLength } of streams) if (readableLength > maxUnreadBytes) exceeded()
  })
  return (stream) => {
    streams.add(stream)
    stream.once('close', () => streams.delete(stream))
  }
}
