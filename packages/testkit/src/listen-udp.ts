import { createSocket, type Socket } from 'node:dgram'
import type { SocketAddress } from '@postern/net'

/**
 * Opens a UDP socket. Joins the multicast group on the loopback interface with the address `groupInterface`, if given.
 */
export async function openDatagramSocket(
  local: SocketAddress,
  heard: (bytes: Uint8Array, from: SocketAddress) => void,
  groupInterface?: string
): Promise<Socket> {
  const socket = createSocket({
    type: local.address.includes(':') ? 'udp6' : 'udp4',
    reuseAddr: groupInterface !== undefined
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      reject(error)
    })
    socket.bind({ address: local.address, port: local.port, exclusive: true }, resolve)
  })
  socket.removeAllListeners('error')
  // Datagrams to a closed socket cause an error here, which a router ignores.
  socket.on('error', () => undefined)
  socket.on('message', (bytes, from) => heard(Uint8Array.from(bytes), { address: from.address, port: from.port }))
  if (groupInterface !== undefined) {
    try {
      socket.addMembership(local.address, groupInterface)
    } catch (error) {
      socket.close()
      throw error
    }
  }
  return socket
}

/** Sends one datagram from another port of the address, or from the neighbour's address. */
export function sendFromElsewhere(
  bytes: Uint8Array,
  to: SocketAddress,
  address: string,
  what: 'address' | 'port'
): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  // Without a second loopback address nothing is sent. The client receives nothing in either case.
  socket.on('error', () => socket.close())
  const source = what === 'port' ? address : address.replace(/\d+$/, (last) => String((Number(last) % 254) + 1))
  socket.bind({ address: source, port: 0, exclusive: true }, () => {
    socket.send(bytes, to.port, to.address, () => socket.close())
  })
}
