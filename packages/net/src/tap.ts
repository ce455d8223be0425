import type { Socket } from 'node:dgram'
import {
  type CallOptions,
  canonicalAddress,
  type DatagramTap,
  type Endpoint,
  type Family,
  familyOf,
  natError,
  type Network
} from '@postern/interface'
import { type OpenUdp, openUdp, type SocketAddress } from './udp.js'

export interface OpenTapOptions {
  readonly family: Family
  /** Our own address, never a wildcard: what a tap tells of itself is compared with what others see. */
  readonly address: string
  /** @default a random one */
  readonly port?: number
  /** @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/** A UDP socket of our own, in the form in which programs lend theirs. */
export interface OwnTap extends DatagramTap {
  /** Twice is once. */
  close(): void
}

type Hear = Parameters<DatagramTap['receive']>[0]

/** Opens a UDP socket to lend. Rejects as {@link OpenUdp} does; closes it when the signal aborts. What cannot be sent is
 * lost, as datagrams are. */
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

/** Opens a small UDP socket where the default route leads, IPv4 before IPv6: for programs that have none to lend. Rejects
 * with `UNREACHABLE` where this machine has no address. */
export function ownTap(network: () => Network, open?: OpenUdp): (call: CallOptions) => Promise<OwnTap> {
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
 * Lends a socket of Node's that a program uses itself. Its own listeners hear everything, as before; on it there is one more
 * listener as long as somebody here listens.
 *
 * @param endpoint - where the socket is bound, with a concrete address
 */
export function tapOf(socket: Socket, endpoint: Endpoint): DatagramTap {
  const hearers = new Set<Hear>()
  const listen = (bytes: Uint8Array, { address, port }: SocketAddress): void =>
    tell(hearers, bytes, { address: canonicalAddress(address) ?? address, port })
  // A socket on :: takes IPv4 in this form only.
  const isSix = familyOf(socket.address().address) === 6
  return {
    endpoint,
    send(bytes, { address, port }) {
      // Told to the callback, not to the error listeners of the program.
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
  // The same function may be given twice: each has its own end.
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
