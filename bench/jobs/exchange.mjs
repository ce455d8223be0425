import { createSocket } from 'node:dgram'

/** Opens a UDP socket to a port of the router. `ask` sends a datagram and resolves with the first answer to it. */
export function openExchange(address, port) {
  const socket = createSocket('udp4')
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.connect(port, address, () => {
      const ask = (bytes) => {
        const answer = Promise.withResolvers()
        socket.once('message', answer.resolve)
        socket.send(bytes)
        return answer.promise
      }
      resolve({ ask, close: () => socket.close() })
    })
  })
}
