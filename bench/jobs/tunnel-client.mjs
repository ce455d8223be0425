// A client at the near end of tunnels. Reads lines `<port> <d or u> <bytes>` on standard input, and has tunnel-service.mjs
// send or receive that many bytes through that port of 127.0.0.1. Prints the time from the request to the last byte.
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

const block = Buffer.alloc(64 * 1024, 'postern ')

console.log(JSON.stringify({ event: 'ready' }))
for await (const line of createInterface({ input: process.stdin })) {
  const [port, direction, bytes] = line.split(' ')
  console.log(JSON.stringify({ event: 'carried', ...(await carry(Number(port), direction, Number(bytes))) }))
}

/** Resolves with the time in ms, or with what went wrong. */
function carry(port, direction, bytes) {
  return new Promise((resolve) => {
    let received = 0
    let startedMs = 0
    const buffer = Buffer.alloc(256 * 1024)
    const done = () => {
      socket.destroy()
      const wanted = direction === 'd' ? bytes : 1
      const ms = performance.now() - startedMs
      resolve(received === wanted ? { ms } : { failure: `${received} of ${wanted} bytes arrived` })
    }
    // Without a new buffer for each read, so that the client costs as little as possible.
    const onread = {
      buffer,
      callback(count) {
        received += count
        if (received === (direction === 'd' ? bytes : 1)) done()
        return true
      }
    }
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, onread }, () => {
      startedMs = performance.now()
      const request = Buffer.alloc(9, direction)
      request.writeBigUInt64BE(BigInt(bytes), 1)
      socket.write(request)
      if (direction === 'u') send(socket, bytes)
    })
    socket.on('error', ({ code }) => resolve({ failure: code }))
    socket.on('close', done)
  })
}

function send(socket, bytes) {
  let left = bytes
  const more = () => {
    while (left > 0) {
      const part = left >= block.length ? block : block.subarray(0, left)
      left -= part.length
      if (!socket.write(part)) return
    }
  }
  socket.on('drain', more)
  more()
}
