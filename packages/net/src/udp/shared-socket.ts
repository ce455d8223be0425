import type { Socket } from 'node:dgram'
import {
  type CallOptions,
  canonicalAddress,
  type Endpoint,
  type Family,
  familyOf,
  type Network,
  natError,
  type SharedUdpSocket
} from '@postern/interface'
import { type OpenUdp, openUdp, type SocketAddress } from './udp.js'

/** The options of {@link openTap}. */
export interface OpenTapOptions {
  /** The family of `address`. */
  readonly family: Family
  /** The local address, never a wildcard: it is compared with the address that servers see. */
  readonly address: string
  /** The local port.
   * @default a random one */
  readonly port?: number
  /** Opens a socket.
   * @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/** A UDP socket that this package opened, with the interface of a shared socket. */
export interface OwnTap extends SharedUdpSocket {
  /** Closes the socket. Idempotent. */
  close(): void
}

type Hear = Parameters<SharedUdpSocket['receive']>[0]

/** Opens a UDP socket to share, and closes it when the signal aborts. Rejects with `PORT_TAKEN`, `UNREACHABLE` or the
 * signal's reason. A datagram that cannot be sent is lost without an error. */
export async function openTap(options: OpenTapOptions, call: CallOptions): Promise<OwnTap> {
  const { family, address, port = 0, open = openUdp } = options
  const hearers = new Set<Hear>()
  const socket = await open(
    {
      family,
      local: { address, port },
      onMessage: (bytes, from) => tell(hearers, bytes, from),
      onError: () => undefined
    },
    call
  )
  return {
    endpoint: { protocol: 'udp', family, address: canonicalAddress(address) ?? address, port: socket.local.port },
    send: (bytes, to: SocketAddress) => socket.send(bytes, to),
    receive: (each, { signal }) => hearUntil(hearers, each, signal),
    close() {
      hearers.clear()
      socket.close()
    }
  }
}

/** Returns a function that opens a UDP socket on the local address of the default route, IPv4 before IPv6, for programs
 * that have none to share. It rejects with `UNREACHABLE` if this machine has no address, or like {@link openTap}. */
export function openSharedSocket(network: () => Network, open?: OpenUdp): (call: CallOptions) => Promise<OwnTap> {
  return async (call) => {
    const { gateways, addresses } = network()
    const ours = [...gateways.map(({ localAddress }) => localAddress), ...addresses]
    const address = ours.find((each) => familyOf(each) === 4) ?? ours[0]
    const family = address === undefined ? undefined : familyOf(address)
    if (address === undefined || family === undefined) throw natError('UNREACHABLE', 'this machine has no address')
    return openTap({ family, address, ...(open === undefined ? {} : { open }) }, call)
  }
}

/**
 * Returns a tap that shares a Node.js socket that the program itself uses. The listeners of the program still get every
 * datagram. The tap adds one more listener to the socket while it has receivers.
 *
 * @param endpoint - where the socket is bound, with a concrete address
 */
export function shareSocketOf(socket: Socket, endpoint: Endpoint): SharedUdpSocket {
  const hearers = new Set<Hear>()
  const listen = (bytes: Uint8Array, { address, port }: SocketAddress): void =>
    tell(hearers, bytes, { address: canonicalAddress(address) ?? address, port })
  // A socket that is bound to :: accepts IPv4 destinations only in IPv4-mapped form.
  const isSix = familyOf(socket.address().address) === 6
  return {
    endpoint,
    send(bytes, { address, port }) {
      // With a callback, an error does not reach the error listeners of the program.
      socket.send(bytes, port, isSix && familyOf(address) === 4 ? `::ffff:${address}` : address, () => undefined)
    },
    receive(each, { signal }) {
      if (signal.aborted) return
      if (hearers.size === 0) socket.on('message', listen)
      hearUntil(hearers, each, signal, () => {
        if (hearers.size === 0) socket.off('message', listen)
      })
    }
  }
}

function tell(hearers: ReadonlySet<Hear>, bytes: Uint8Array, from: SocketAddress): void {
  for (const each of hearers) each(bytes, from)
}

function hearUntil(hearers: Set<Hear>, each: Hear, signal: AbortSignal, ended: () => void = () => undefined): void {
  if (signal.aborted) return
  // A caller may pass the same function twice, each time with its own signal.
  const own: Hear = (bytes, from) => each(bytes, from)
  hearers.add(own)
  signal.addEventListener(
    'abort',
    () => {
      hearers.delete(own)
      ended()
    },
    { once: true }
  )
}
