import type { Server, Socket } from 'node:net'
import { type CallOptions, type CarriedConnection, canonicalAddress } from '@postern/interface'
import { type ExposableServer, isDatagram } from './endpoints.js'
import { parentOf } from './parent-of.js'

/** The client at the other end of a connection. */
export interface Client {
  /** Its IP address; null if a forwarder carries the connection and does not tell it. A forwarder can lie. */
  readonly address: string | null
  /** Its port; null like the address. */
  readonly port: number | null
  /** The forwarder that carries the connection, `vps.example.org:22` for example; null for a direct connection. */
  readonly through: string | null
}

/** The clients of a server, also of the connections that a forwarder carries. */
export interface Clients {
  /** Notes a connection that a forwarder carries; see `Host.carried`. Adds one listener to the server at the first, until the
   * signal aborts. */
  readonly carried: (connection: CarriedConnection) => void
  /** Returns the client of a connection to the server; undefined for a socket that was closed before its address could be
   * read, and for anything else. */
  clientOf(socket: object): Client | undefined
}

/** Connections that were announced and have not been accepted: a listener that does not accept must not fill the
 * memory. */
const maxAnnounced = 1024

export function createClients(server: ExposableServer, { signal }: Partial<CallOptions> = {}): Clients {
  const announced = new Map<string, CarriedConnection>()
  const clients = new WeakMap<object, Client>()
  let isListening = false

  function take(socket: Socket): void {
    const key = keyOf(socket.remoteAddress, socket.remotePort)
    const connection = announced.get(key)
    if (connection === undefined) return
    announced.delete(key)
    clients.set(socket, clientIn(connection))
  }

  function listen(to: Server): void {
    isListening = true
    // Before the listeners of the application, which may ask for the client.
    to.prependListener('connection', take)
    signal?.addEventListener('abort', () => to.off('connection', take), { once: true })
  }

  return {
    carried(connection) {
      if (isDatagram(server) || signal?.aborted === true) return
      if (!isListening) listen(server)
      const [oldest] = announced.keys()
      if (announced.size >= maxAnnounced && oldest !== undefined) announced.delete(oldest)
      announced.set(keyOf(connection.localAddress, connection.localPort), connection)
    },
    clientOf(socket) {
      const below = parentOf(socket) ?? socket
      return clients.get(socket) ?? clients.get(below) ?? directClient(socket)
    }
  }
}

const clientIn = ({ client, party }: CarriedConnection): Client => ({
  address: client === null ? null : (canonicalAddress(client.address) ?? client.address),
  port: client?.port ?? null,
  through: party.id
})

function directClient(socket: object): Client | undefined {
  const { remoteAddress, remotePort }: { remoteAddress?: unknown; remotePort?: unknown } = Object(socket)
  if (typeof remoteAddress !== 'string' || typeof remotePort !== 'number') return undefined
  return { address: canonicalAddress(remoteAddress) ?? remoteAddress, port: remotePort, through: null }
}

const keyOf = (address: string | undefined, port: number | undefined): string =>
  `${canonicalAddress(address ?? '') ?? ''} ${port ?? ''}`
