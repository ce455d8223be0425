import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Protocol } from '@postern/interface'

/** Whether a program on this host seems to listen on the port. Asks this host alone. */
export function someoneListens(protocol: Protocol, port: number, addresses: readonly string[]): Promise<boolean> {
  return protocol === 'udp' ? isBound(port) : anyAccepts(port, ['127.0.0.1', ...addresses])
}

async function anyAccepts(port: number, addresses: readonly string[]): Promise<boolean> {
  const answers = await Promise.all(addresses.map((address) => accepts(port, address)))
  return answers.includes(true)
}

function accepts(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, timeout: 500 })
    socket.once('connect', () => {
      // Left as politely as it was begun: many a server falls over a connection that is reset.
      socket.resume().end()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
    socket.once('timeout', () => {
      socket.destroy()
      resolve(false)
    })
  })
}

/** UDP sends no answer, but the kernel does not hand out a port twice. */
function isBound(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    socket.once('error', () => {
      socket.close()
      resolve(true)
    })
    socket.bind({ port, exclusive: true }, () => {
      socket.close()
      resolve(false)
    })
  })
}
