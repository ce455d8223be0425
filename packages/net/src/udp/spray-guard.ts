import { type CallOptions, type NatError, natError } from '@postern/interface'
import type { SocketAddress, UdpOptions, UdpSocket } from './udp.js'

/** The number of decoy sockets. They send nothing, and detect datagrams that are sent to every port. With seven of
 * them, a sweep over all ports reaches a decoy before the real socket in seven of eight cases. */
const decoys = 7
/** The weight of unexpected datagrams at which answers count as forged. */
const maxStrays = 8
/** The weight of one datagram to a decoy, from which nothing was sent. */
const decoyWeight = 4

/** Detects forged answers that another host sends to every port in the name of the peer. */
export interface SprayGuard {
  /** Opens the decoys, which stay open until the signal aborts. Skips decoys that cannot be opened. */
  watch(): Promise<void>
  /** Returns whether the decoys are open. */
  isWatching(): boolean
  /** Counts a datagram that does not answer the request. */
  stray(): void
}

/** Creates a guard. Calls `sprayed` once, with the error for the request, if answers seem to be forged. */
export function createSprayGuard(
  remote: SocketAddress,
  open: (handlers: Pick<UdpOptions, 'onMessage' | 'onError'>, call: CallOptions) => Promise<UdpSocket>,
  sprayed: (error: NatError) => void,
  call: CallOptions
): SprayGuard {
  let strays = 0
  let isWatching = false

  function add(weight: number): void {
    if (strays >= maxStrays) return
    strays += weight
    if (strays < maxStrays) return
    const text = `unexpected answers arrive from ${remote.address} port ${remote.port}: another host may forge them`
    sprayed(natError('UNTRUSTED_REPLY', text))
  }

  return {
    isWatching: () => isWatching,
    stray: () => add(1),
    async watch() {
      const handlers = { onMessage: () => add(decoyWeight), onError: () => undefined }
      await Promise.allSettled(Array.from({ length: decoys }, () => open(handlers, call)))
      isWatching = !call.signal.aborted
    }
  }
}
