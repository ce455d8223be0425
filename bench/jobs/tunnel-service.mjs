// A TCP service at the far end of a tunnel. Argument: its port on 127.0.0.1. A request is 9 bytes: `d` or `u`, and a
// number of bytes as a big-endian integer. It sends that many bytes and ends (d), or receives them and answers one byte
// (u). Prints one line when it listens.
import { createServer } from 'node:net'
import { sendBytes } from './send-bytes.mjs'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('data', (request) => {
    const count = Number(request.readBigUInt64BE(1))
    if (request.toString('latin1', 0, 1) === 'd') sendBytes(socket, count, () => socket.end())
    else receive(socket, count, request.length - 9)
  })
})

function receive(socket, count, already) {
  let left = count - already
  socket.on('data', ({ length }) => {
    left -= length
    if (left === 0) socket.end('.')
  })
}

server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(JSON.stringify({ event: 'listening' })))
