const block = Buffer.alloc(64 * 1024, 'postern ')

/** Writes so many bytes to a socket, as fast as it takes them, and then calls `sent`. */
export function sendBytes(socket, count, sent = () => {}) {
  let left = count
  const more = () => {
    while (left > 0) {
      const part = left >= block.length ? block : block.subarray(0, left)
      left -= part.length
      if (!socket.write(part)) return
    }
    sent()
  }
  socket.on('drain', more)
  more()
}
