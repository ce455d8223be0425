import type { Socket } from 'node:net'
import { canonicalAddress } from '@postern/interface'
import { createPlaces } from '@postern/net'
import type { Requesters } from './requester.js'

/** The connections of clients, which are limited. */
export interface Clients {
  /** The number of open connections. */
  readonly open: number
  /** The number of connections that were closed for lack of a place. */
  readonly closed: number
  /** Takes a place for a new connection, or closes it. */
  enter(socket: Socket): void
}

const maxPerIp = 16
const maxPerSubnet = 64

/** Creates the limits on the connections of clients. A trusted proxy carries those of many, and has no limit of its
 * own. */
export function createClients(maxConnections: number, requesters: Requesters): Clients {
  const places = createPlaces<Socket>({
    total: maxConnections,
    subnet: Math.min(maxPerSubnet, maxConnections),
    ip: Math.min(maxPerIp, maxConnections)
  })
  const proxied = new Set<Socket>()
  let closed = 0

  function refuse(socket: Socket): void {
    closed += 1
    socket.destroy()
  }

  return {
    get open() {
      return places.used + proxied.size
    },
    get closed() {
      return closed
    },
    enter(socket) {
      const address = canonicalAddress(socket.remoteAddress ?? '') ?? ''
      if (requesters.isProxy(address)) {
        if (proxied.size >= maxConnections) return refuse(socket)
        proxied.add(socket)
        socket.once('close', () => proxied.delete(socket))
        return
      }
      let refusal = places.take(socket, { address })
      if (refusal !== undefined) {
        const victim = places.findVictim({ address }, refusal, () => true)
        if (victim === undefined) return refuse(socket)
        places.free(victim)
        refuse(victim)
        refusal = places.take(socket, { address })
        if (refusal !== undefined) return refuse(socket)
      }
      socket.once('close', () => places.free(socket))
    }
  }
}
