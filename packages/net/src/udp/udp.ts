import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import {
  type CallOptions,
  canonicalAddress,
  classOf,
  errorText,
  familyOf,
  isInSubnet,
  type NatError,
  natError
} from '@postern/interface'
import { addHandle } from '../async/handles.js'

/** An IP address and a port. */
export interface SocketAddress {
  /** The IP address, possibly with a zone. */
  readonly address: string
  /** The port. */
  readonly port: number
}

/** An open UDP socket. Calls no more callbacks once it is closed. */
export interface UdpSocket {
  /** The address and port that it is bound to. */
  readonly local: SocketAddress
  /** Sends a datagram. `to` is only for sockets that are not connected. Failures go to `onError`. */
  send(bytes: Uint8Array, to?: SocketAddress): void
  /** Closes the socket. Idempotent. */
  close(): void
}

/** The options of {@link OpenUdp}. */
export interface UdpOptions {
  /** The family of the socket. */
  readonly family: 4 | 6
  /** The peer to connect to. Then only its datagrams arrive, and its refusals (ICMP) are reported.
   * @default not connected */
  readonly remote?: SocketAddress
  /** The address and port to bind to.
   * @default any address, a random port */
  readonly local?: Partial<SocketAddress>
  /** The multicast group to join, and the local address (IPv4) or the name (IPv6) of the interface. Shares the port.
   * @default none */
  readonly multicast?: { readonly group: string; readonly interface: string }
  /** The time to live of the datagrams: how many routers forward them, plus one.
   * @default that of the system */
  readonly ttl?: number
  /** Called with each datagram. */
  readonly onMessage: (bytes: Uint8Array, from: SocketAddress) => void
  /** Called with each error of the network or the kernel. The socket stays open. */
  readonly onError: (error: NatError) => void
}

/** Opens a UDP socket, and closes it when the signal aborts. Rejects with a {@link NatError} (`PORT_TAKEN`,
 * `UNREACHABLE`) or with the signal's reason. */
export type OpenUdp = (options: UdpOptions, call: CallOptions) => Promise<UdpSocket>

/** {@link OpenUdp} with real sockets. */
export const openUdp: OpenUdp = async (options, { signal }) => {
  signal.throwIfAborted()
  const { family, remote, local, multicast, ttl, onMessage, onError } = options
  const socket = createSocket({ type: `udp${family}`, reuseAddr: multicast !== undefined })
  // For the time between the listeners below: an error event without a listener ends the process.
  socket.on('error', () => undefined)
  let open = true
  const leaveList = addHandle(socket)
  const close = (): void => {
    if (!open) return
    open = false
    signal.removeEventListener('abort', close)
    leaveList()
    socket.close()
  }
  signal.addEventListener('abort', close)

  try {
    await settled(signal, (done, failed) => {
      socket.once('error', failed)
      // With a port or a peer, Node.js binds exclusively to this process; a cluster worker must not share the socket
      // either.
      socket.bind({ address: local?.address, port: local?.port ?? 0, exclusive: true }, () => {
        socket.off('error', failed)
        done()
      })
    })
    if (multicast !== undefined) socket.addMembership(multicast.group, multicast.interface)
    if (remote !== undefined) {
      await settled(signal, (done, failed) => {
        socket.connect(remote.port, remote.address, (error?: Error) => (error === undefined ? done() : failed(error)))
      })
    }
    if (ttl !== undefined) socket.setTTL(ttl)
    signal.throwIfAborted()
  } catch (error) {
    close()
    signal.throwIfAborted()
    throw asNatError(error)
  }

  socket.on('message', (bytes, from) => {
    if (!open || (remote !== undefined && !isSame(from, remote))) return
    try {
      onMessage(bytes, { address: from.address, port: from.port })
    } catch (error) {
      // An exception in the handler must not end the process; otherwise any datagram could end it.
      onError(natError('STRATEGY_FAULT', 'a datagram could not be handled', { cause: error }))
    }
  })
  socket.on('error', (error) => {
    if (open) onError(asNatError(error))
  })
  return {
    local: socket.address(),
    send(bytes, to) {
      if (!open) return
      const sent = (error: Error | null): void => {
        if (error !== null && open) onError(asNatError(error))
      }
      if (to === undefined) socket.send(bytes, sent)
      else socket.send(bytes, to.port, to.address, sent)
    },
    close
  }
}

/** Returns whether a datagram comes from the peer of a connected socket. Kernels filter by that, but Deno does not
 * connect UDP sockets, so any host could answer in place of the peer there. */
function isSame(from: SocketAddress, remote: SocketAddress): boolean {
  if (from.port === remote.port && from.address === remote.address) return true
  const address = withoutZone(remote.address)
  // The kernel treats a wildcard as this machine, and answers from another address.
  if (classOf(address) === 'unspecified') return true
  return from.port === remote.port && canonicalAddress(withoutZone(from.address)) === canonicalAddress(address)
}

const withoutZone = (address: string): string => address.replace(/%.*$/, '')

/** Resolves when `done` is called. Rejects with the error of `failed`, or with the signal's reason. */
function settled(
  signal: AbortSignal,
  start: (done: () => void, failed: (error: Error) => void) => void
): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    const clear = (): void => signal.removeEventListener('abort', aborted)
    start(
      () => {
        clear()
        resolve()
      },
      (error) => {
        clear()
        reject(error)
      }
    )
  })
}

/** Converts an error of the kernel to a NatError. */
function asNatError(error: unknown): NatError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED') return natError('REFUSED', 'the port is closed', { cause: error })
  if (code === 'EADDRINUSE') return natError('PORT_TAKEN', 'the local port is in use', { cause: error })
  return natError('UNREACHABLE', `cannot send: ${errorText(error)}`, {
    cause: error
  })
}

/** Resolves to the local address from which the kernel would send to an address. Sends nothing.
 * Rejects with `UNREACHABLE` if there is no route, or with the signal's reason. */
export async function localAddressTowards(
  address: string,
  call: CallOptions,
  open: OpenUdp = openUdp
): Promise<string> {
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`not an IP address: ${address}`)
  const nothing = (): void => undefined
  const socket = await open({ family, remote: { address, port: 9 }, onMessage: nothing, onError: nothing }, call)
  socket.close()
  const local = socket.local.address
  if (classOf(local) !== 'unspecified') return local
  const neighbour = neighbourOf(address)
  if (neighbour !== undefined) return neighbour
  throw natError('UNREACHABLE', `the local address on the way to ${address} is not known`)
}

/** Returns the address of this host in the same subnet as `address`. For Deno, which does not connect UDP sockets and
 * so does not consult the routing table. */
function neighbourOf(address: string): string | undefined {
  const held = Object.values(networkInterfaces()).flatMap((each = []) => each)
  return held.find(({ cidr }) => cidr !== null && isInSubnet(address, cidr))?.address
}
