import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Family, Protocol } from '@postern/interface'

/** Whether it is certain that no program of this host listens on the port. Asks this host alone. A firewall that drops what
 * comes in, and a port that must not be tried, leave it open. */
export async function isUnused(protocol: Protocol, port: number, addresses: readonly string[]): Promise<boolean> {
  const outcomes =
    protocol === 'udp'
      ? [bind(port, 4), bind(port, 6)]
      : ['127.0.0.1', '::1', ...addresses].map((address) => dial(port, address))
  return (await Promise.all(outcomes)).every((outcome) => outcome === 'unused')
}

type Outcome = 'used' | 'unused' | 'unknown'

/** The host has no such address, or no such family: no program can listen there. */
const absent = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH', 'EHOSTUNREACH']

const codeOf = (error: Error): string => ('code' in error ? String(error.code) : '')

function dial(port: number, host: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, timeout: 500 })
    socket.once('connect', () => {
      // Left as politely as it was begun: many a server falls over a connection that is reset.
      socket.resume().end()
      resolve('used')
    })
    socket.on('error', (error) => resolve(['ECONNREFUSED', ...absent].includes(codeOf(error)) ? 'unused' : 'unknown'))
    socket.once('timeout', () => {
      socket.destroy()
      resolve('unknown')
    })
  })
}

/** UDP sends no answer, but the kernel does not hand out a port twice. */
function bind(port: number, family: Family): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 })
    socket.once('error', (error) => {
      socket.close()
      const code = codeOf(error)
      resolve(code === 'EADDRINUSE' ? 'used' : absent.includes(code) ? 'unused' : 'unknown')
    })
    socket.bind({ port, exclusive: true }, () => {
      socket.close()
      resolve('unused')
    })
  })
}
