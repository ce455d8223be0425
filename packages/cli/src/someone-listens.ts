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
    const end = (answer: boolean) => (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false))
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
