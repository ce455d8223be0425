import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Family, Protocol } from '@postern/interface'

/** Resolves to whether certainly no program of this host listens on the port. Sends only to this host. False if that is
 * unknown, because a firewall drops the connection or the port must not be bound. */
export async function isUnused(protocol: Protocol, port: number, addresses: readonly string[]): Promise<boolean> {
  // A server that takes the first connection is not dialled again.
  if (protocol === 'tcp' && (await dial(port, '127.0.0.1')) !== 'unused') return false
  const outcomes =
    protocol === 'udp' ? [bind(port, 4), bind(port, 6)] : ['::1', ...addresses].map((address) => dial(port, address))
  return (await Promise.all(outcomes)).every((outcome) => outcome === 'unused')
}

type Outcome = 'used' | 'unused' | 'unknown'

/** The error codes for an address or family that the host does not have; no program can listen there. */
const absent = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH', 'EHOSTUNREACH']

const codeOf = (error: Error): string => ('code' in error ? String(error.code) : '')

function dial(port: number, host: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, timeout: 500 })
    socket.once('connect', () => {
      // Close it regularly: some servers fail if a connection is reset.
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

/** Tests a UDP port by binding it, because UDP servers need not answer and the kernel does not assign a port twice. */
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
