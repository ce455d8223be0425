import type { Duplex } from 'node:stream'
import { canonicalAddress, type NatError, natError } from '@postern/interface'
import type { Arrived } from '@postern/net'
import type { Client } from 'ssh2'
import { placeOf } from './errors.js'
import type { Settings } from './options.js'

/** The connections that arrive in one session. */
export interface Arrivals {
  /** Calls `arrive` with each connection to a port that the other host has opened. Returns why not, if that cannot be such
   * a port. */
  add(port: number, arrive: (arrived: Arrived) => void): NatError | undefined
  /** Refuses the connections to a port. */
  remove(port: number): void
  has(port: number): boolean
  /** Refuses all connections. */
  clear(): void
}

/** This many channels more than `maxConnections` may be open for a port. A channel takes memory until the other host has
 * confirmed its end, which a hostile one never does. */
const spare = 1024

interface Port {
  readonly arrive: (arrived: Arrived) => void
  channels: number
}

/** Creates the arrivals of a session, without a port.
 *
 * @param added - called with the stream of each connection */
export function createArrivals(
  client: Pick<Client, 'on'>,
  settings: Settings,
  added: (stream: Duplex) => void
): Arrivals {
  const { bindAddress, maxConnections } = settings
  const ports = new Map<number, Port>()

  client.on('tcp connection', ({ destIP, destPort, srcIP, srcPort }, accept, reject) => {
    const port = destIP === bindAddress ? ports.get(destPort) : undefined
    if (port === undefined || port.channels >= maxConnections + spare) return reject()
    const address = canonicalAddress(srcIP)
    const isKnown = address !== undefined && srcPort > 0 && srcPort <= 65_535
    const stream = accept()
    added(stream)
    port.channels += 1
    stream.once('close', () => {
      port.channels -= 1
    })
    port.arrive({ stream, client: isKnown ? { address, port: srcPort } : null })
  })

  return {
    add(port, arrive) {
      if (port < 1 || port > 65_535)
        return natError(
          'MALFORMED_REPLY',
          `${placeOf(settings)} says that it has opened port ${port}, which is no port`
        )
      if (ports.has(port))
        return natError('GRANT_INVALID', `${placeOf(settings)} says that it has opened port ${port} twice`)
      ports.set(port, { arrive, channels: 0 })
      return undefined
    },
    remove: (port) => void ports.delete(port),
    has: (port) => ports.has(port),
    clear: () => ports.clear()
  }
}
