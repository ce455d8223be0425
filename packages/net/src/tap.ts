import { type CallOptions, canonicalAddress, type DatagramTap, type Family } from '@postern/interface'
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
  const hearing = new Set<Hear>()
  const socket = await open(
    {
      family,
      local: { address, port },
      onMessage(bytes, from) {
        for (const each of hearing) each(bytes, from)
      },
      onError: () => undefined
    },
    call
  )
  return {
    endpoint: { protocol: 'udp', family, address: canonicalAddress(address) ?? address, port: socket.local.port },
    send: (bytes, to: SocketAddress) => socket.send(bytes, to),
    receive: (each, { signal }) => hearUntil(hearing, each, signal),
    close() {
      hearing.clear()
      socket.close()
    }
  }
}

function hearUntil(hearing: Set<Hear>, each: Hear, signal: AbortSignal): void {
  if (signal.aborted) return
  // The same function may be given twice: each has its own end.
  const own: Hear = (bytes, from) => each(bytes, from)
  hearing.add(own)
  signal.addEventListener('abort', () => hearing.delete(own), { once: true })
}
