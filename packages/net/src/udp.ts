import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import {
  type CallOptions,
  canonicalAddress,
  classOf,
  errorText,
  familyOf,
  type NatError,
  natError
} from '@postern/interface'
import { addHandle } from './handles.js'
import { contains } from './subnet.js'

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** A UDP socket that is open. It says nothing more once closed. */
export interface UdpSocket {
  readonly local: SocketAddress
  /** `to` only where the socket is not connected. Failures are told to `onError`. */
  send(bytes: Uint8Array, to?: SocketAddress): void
  /** Twice is once. */
  close(): void
}

export interface UdpOptions {
  readonly family: 4 | 6
  /** Connect to this peer: only its datagrams arrive then, and its refusals (ICMP) do too. */
  readonly remote?: SocketAddress
  /** Bind to this. Without it: any address, a random port. */
  readonly local?: Partial<SocketAddress>
  /** Hear what is sent to this group on the interface of this local address (IPv4) or name (IPv6). Shares the port. */
  readonly multicast?: { readonly group: string; readonly interface: string }
  readonly onMessage: (bytes: Uint8Array, from: SocketAddress) => void
  /** What the network or the kernel said against us. The socket stays open. */
  readonly onError: (error: NatError) => void
}

/** Opens a UDP socket. Rejects with a {@link NatError} (`PORT_TAKEN`, `UNREACHABLE`) or the signal's reason; closes the
 * socket when the signal aborts. */
export type OpenUdp = (options: UdpOptions, call: CallOptions) => Promise<UdpSocket>

/** {@link OpenUdp} with real sockets. */
export const openUdp: OpenUdp = async (options, { signal }) => {
  signal.throwIfAborted()
  const { family, remote, local, multicast, onMessage, onError } = options
  const socket = createSocket({ type: `udp${family}`, reuseAddr: multicast !== undefined })
  // For the moments in between the listeners below: an error that nothing hears ends the process.
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
      // Given a port or a peer, Node binds exclusively to this process; a cluster worker must not share it either.
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
      // A fault in the handler must not end the process, which any datagram could then do.
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

/** Whether a datagram comes from the peer that a socket is connected to. Kernels see to that, but Deno connects no socket: there
 * every host could answer in the place of the peer. */
function isSame(from: SocketAddress, remote: SocketAddress): boolean {
  if (from.port === remote.port && from.address === remote.address) return true
  const address = withoutZone(remote.address)
  // The kernel takes it for this machine, and answers from another address.
  if (classOf(address) === 'unspecified') return true
  return from.port === remote.port && canonicalAddress(withoutZone(from.address)) === canonicalAddress(address)
}

const withoutZone = (address: string): string => address.replace(/%.*$/, '')

/** Waits for a callback, but no longer than the signal lives. */
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

/** What the kernel says, in this project's words. */
function asNatError(error: unknown): NatError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED') return natError('REFUSED', 'the port is closed', { cause: error })
  if (code === 'EADDRINUSE') return natError('PORT_TAKEN', 'the local port is in use', { cause: error })
  return natError('UNREACHABLE', `cannot send: ${errorText(error)}`, {
    cause: error
  })
}

/** Our own address on the way to a peer, as the kernel's routing table has it. Sends nothing.
 * Rejects with `UNREACHABLE` where there is no way. */
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

/** The address of this host in the subnet of another one. For Deno, which connects no UDP socket and so asks no routing table. */
function neighbourOf(address: string): string | undefined {
  const held = Object.values(networkInterfaces()).flatMap((each = []) => each)
  return held.find(({ cidr }) => cidr !== null && contains(cidr, withoutZone(address)))?.address
}
