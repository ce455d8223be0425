import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Protocol } from '@postern/interface'
import { hasCode } from '../files/files.js'

/** The time limit for a connection on loopback, in ms; it is accepted or refused at once. */
const answerMs = 500

/**
 * Resolves to whether a socket that is bound to `::` also accepts IPv4; true if that is unknown. Node.js does not tell
 * whether `ipv6Only` was set, so this tries to bind the port on IPv4. If that works, the socket does not have the port
 * there. BSDs may allow both, so a TCP port that can be bound is also dialled on loopback; programs do not notice a
 * refused connection.
 */
export async function takesIpv4(protocol: Protocol, port: number): Promise<boolean> {
  if (await isTakenApart(protocol, port)) return false
  if (!(await canBind(protocol, port))) return true
  return protocol === 'tcp' && (await accepts(port))
}

/** Resolves to whether another socket has the port on IPv4. Linux lists a socket for both families only under IPv6. */
async function isTakenApart(protocol: Protocol, port: number): Promise<boolean> {
  if (process.platform !== 'linux') return false
  const table = await readFile(`/proc/net/${protocol}`, 'utf8').catch(() => '')
  const local = `00000000:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const states = { tcp: '0A', udp: '07' }
  return table.split('\n').some((line) => {
    const [, own, , state] = line.trim().split(/\s+/)
    return own === local && state === states[protocol]
  })
}

/** Resolves to whether this process can bind the port on IPv4. `exclusive`, because a cluster worker would ask its
 * primary, which has the port. */
function canBind(protocol: Protocol, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  if (protocol === 'udp') {
    const socket = createSocket('udp4')
    socket.once('error', () => socket.close(() => resolve(false)))
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(true)))
    return promise
  }
  const server = createServer((socket) => socket.destroy())
  server.once('error', () => resolve(false))
  server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)))
  return promise
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ port, host: '127.0.0.1', timeout: answerMs })
  const end = (outcome: boolean) => (): void => {
    socket.destroy()
    resolve(outcome)
  }
  socket.once('connect', end(true))
  socket.once('timeout', end(true))
  socket.on('error', (error) => end(!hasCode(error, 'ECONNREFUSED'))())
  return promise
}
