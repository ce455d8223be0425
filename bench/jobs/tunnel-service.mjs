// A TCP service at the far end of a tunnel. Argument: its port on 127.0.0.1. A request is 9 bytes: `d` or `u`, and a
// number of bytes as a big-endian integer. It sends that many bytes and ends (d), or receives them and answers one byte
// (u). Prints one line when it listens.
import { createServer } from 'node:net'

const block = Buffer.alloc(64 * 1024, 'postern ')

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('data', (request) => {
    const count = Number(request.readBigUInt64BE(1))
    if (request.toString('latin1', 0, 1) === 'd') send(socket, count)
    else receive(socket, count, request.length - 9)
  })
})

function send(socket, count) {
  let left = count
  const more = () => {
    while (left > 0) {
      const part = left >= block.length ? block : block.subarray(0, left)
      left -= part.length
      if (!socket.write(part)) return
    }
    socket.end()
  }
  socket.on('drain', more)
  more()
}

function receive(socket, count, already) {
  let left = count - already
  socket.on('data', ({ length }) => {
    left -= length
    if (left === 0) socket.end('.')
  })
}

server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(JSON.stringify({ event: 'listening' })))
