import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Protocol } from '@postern/interface'
import { hasCode } from './files.js'

/** A connection on loopback is accepted at once, or refused, in ms. */
const answerMs = 500

/**
 * Returns whether a socket that is bound to `::` takes IPv4 too. Node does not tell (`ipv6Only`, and there is no way to read
 * the socket option), so the port is tried on IPv4: where this process can bind it there, the socket does not have it. BSDs
 * may grant the port twice, so a TCP port that can be bound is dialled on loopback as well: a connection that is refused is
 * not seen by any program. Returns true where it cannot be told.
 */
export async function takesIpv4(protocol: Protocol, port: number): Promise<boolean> {
  if (await isTakenApart(protocol, port)) return false
  if (!(await canBind(protocol, port))) return true
  return protocol === 'tcp' && (await accepts(port))
}

/** Returns whether another socket has the port on IPv4. Linux lists a socket that takes both families with IPv6 alone. */
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

/** `exclusive`: a worker of a cluster would ask its primary, which has the port. */
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
