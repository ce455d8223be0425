import type { Server, Socket as TcpSocket } from 'node:net'
import {
  type Arrival,
  type CallOptions,
  canonicalAddress,
  familyOf,
  type Host,
  type ServerHost
} from '@postern/interface'
import { shareSocketOf } from '@postern/net'
import { type ExposableServer, isDatagram } from './endpoints.js'
import { parentOf } from './parent-of.js'

/** Lends what arrives at a server to witnesses. */
export interface Arrivals {
  /** The arrivals, in the form of the contract. Adds one listener to the server while there is a caller. */
  readonly arrivals: ServerHost['arrivals']
  /** Returns whether a witness made this connection. */
  isWitness(socket: object): boolean
}

type At = Parameters<ServerHost['arrivals']>[0]
type Hear = (arrival: Arrival) => void

/** Lends the arrivals at a server: connections to a server of `net`, `http`, `https`, `tls` or `http2`, datagrams to a
 * `dgram.Socket`. */
export function createArrivals(server: ExposableServer): Arrivals {
  return isDatagram(server) ? arrivalsOfSocket(server) : arrivalsOfServer(server)
}

/** Adds the arrivals at a server to a host. */
export const withArrivals = <H extends Host>(host: H, { arrivals }: Arrivals): H & ServerHost => ({ ...host, arrivals })

function arrivalsOfServer(server: Server): Arrivals {
  const hearers = new Set<{ readonly at: At; readonly each: Hear }>()
  const witnesses = new WeakSet<object>()

  /** Reads the addresses at once: a connection that is reset has none a moment later. */
  function listen(socket: TcpSocket): void {
    const { remotePort, localPort } = socket
    const remoteAddress = canonicalAddress(socket.remoteAddress ?? '')
    const localAddress = canonicalAddress(socket.localAddress ?? '')
    if (remoteAddress === undefined || localAddress === undefined) return
    if (remotePort === undefined || localPort === undefined) return
    const recognize = (): void => void witnesses.add(socket)
    tell(hearers, { protocol: 'tcp', remoteAddress, remotePort, localAddress, localPort, recognize })
  }

  return {
    arrivals(at, each, { signal }) {
      if (signal.aborted || at.protocol !== 'tcp') return
      // Before the listeners of the application, which may ask `isWitness`.
      if (hearers.size === 0) server.prependListener('connection', listen)
      hearUntil(hearers, { at, each }, { signal }, () => server.off('connection', listen))
    },
    isWitness: (socket) => witnesses.has(socket) || witnesses.has(parentOf(socket) ?? socket)
  }
}

function arrivalsOfSocket(server: Exclude<ExposableServer, Server>): Arrivals {
  const hearers = new Set<{ readonly at: At; readonly each: Hear }>()
  let end = new AbortController()

  function listen(): void {
    const { address, port } = server.address()
    const family = familyOf(address) === 6 ? 6 : 4
    end = new AbortController()
    const tap = shareSocketOf(server, { protocol: 'udp', family, address, port })
    const local = canonicalAddress(address) ?? address
    tap.receive((bytes, { address: from, port: remotePort }) => {
      const remoteAddress = canonicalAddress(from)
      if (remoteAddress === undefined) return
      const recognize = (): void => undefined
      const place = { localAddress: local, localPort: port }
      tell(hearers, { protocol: 'udp', remoteAddress, remotePort, ...place, bytes, recognize })
    }, end)
  }

  return {
    arrivals(at, each, { signal }) {
      if (signal.aborted || at.protocol !== 'udp') return
      if (hearers.size === 0) listen()
      hearUntil(hearers, { at, each }, { signal }, () => end.abort())
    },
    isWitness: () => false
  }
}

function tell(hearers: Iterable<{ readonly at: At; readonly each: Hear }>, arrival: Arrival): void {
  for (const { at, each } of hearers) if (matches(at, arrival)) each(arrival)
}

const matches = ({ port, family, address }: At, { localPort, localAddress }: Arrival): boolean =>
  (port === undefined || port === localPort) &&
  (family === undefined || family === familyOf(localAddress)) &&
  (address === undefined || canonicalAddress(address) === localAddress)

function hearUntil<T>(hearers: Set<T>, hearer: T, { signal }: CallOptions, ended: () => void): void {
  hearers.add(hearer)
  signal.addEventListener(
    'abort',
    () => {
      hearers.delete(hearer)
      if (hearers.size === 0) ended()
    },
    { once: true }
  )
}
