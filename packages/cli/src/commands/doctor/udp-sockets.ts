import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Endpoint, type Family, familyOf, type Network, type SharedUdpSocket } from '@postern/interface'
import { shareSocketOf } from '@postern/net'

/** A UDP socket of a trial, and where it is bound. It neither reads nor answers what arrives. */
export interface BoundSocket {
  readonly socket: Socket
  readonly endpoint: Endpoint
}

/**
 * Opens a UDP socket for each family, at this port. Resolves to those that could be opened.
 *
 * @param mayDiffer - whether another port is as good, if that one is not free
 */
export async function openUdpSockets(
  families: readonly Family[],
  port: number,
  mayDiffer: boolean
): Promise<readonly BoundSocket[]> {
  const opened = await Promise.all(
    families.map(async (family): Promise<BoundSocket | undefined> => {
      const bound = (await bind(family, port)) ?? (mayDiffer ? await bind(family, 0) : undefined)
      if (bound === undefined) return undefined
      const address = family === 4 ? '0.0.0.0' : '::'
      return { socket: bound, endpoint: { protocol: 'udp', family, address, port: bound.address().port } }
    })
  )
  return opened.filter((each) => each !== undefined)
}

/** Resolves to a socket at this port; undefined if the port is not free. */
async function bind(family: Family, port: number): Promise<Socket | undefined> {
  const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', ipv6Only: family === 6 })
  try {
    const bound = once(socket, 'listening')
    socket.bind(port)
    await bound
    // A datagram that could not be sent is lost without harm.
    socket.on('error', () => undefined)
    return socket
  } catch {
    socket.close()
    return undefined
  }
}

/** Shares a socket with STUN servers; undefined if this host has no address of its family. */
export function shareUdp(
  { socket, endpoint }: BoundSocket,
  { gateways, addresses }: Network
): SharedUdpSocket | undefined {
  const ours = [...gateways.map(({ localAddress }) => localAddress), ...addresses]
  const address = ours.find((each) => familyOf(each) === endpoint.family)
  return address === undefined ? undefined : shareSocketOf(socket, { ...endpoint, address })
}

/** Resolves to whether this program can open a UDP socket at a port. */
export async function isUdpPortFree(port: number): Promise<boolean> {
  const [opened] = await openUdpSockets([4], port, false)
  opened?.socket.close()
  return opened !== undefined
}
