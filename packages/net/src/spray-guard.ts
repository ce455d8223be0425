import { type CallOptions, type NatError, natError } from '@postern/interface'
import type { SocketAddress, UdpOptions, UdpSocket } from './udp.js'

/** Sockets that send nothing and hear what is sent to every port. With seven of them, one sweep over all ports reaches one of
 * these before the real socket in seven of eight cases. */
const decoys = 7
/** Datagrams that answer nothing, after which the answers count as forged. */
const maxStrays = 8
/** A datagram to a port that nothing was sent from counts as so many. */
const decoyWeight = 4

/** Tells answers that another host sends to every port in the peer's name from answers of the peer. */
export interface SprayGuard {
  /** Opens the decoys, which are open until the signal aborts. Decoys that cannot be opened are left out. */
  watch(): Promise<void>
  isWatching(): boolean
  /** A datagram came that answers nothing that was asked. */
  stray(): void
}

/** @param sprayed - is told once, with the error that the request ends with */
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
    const text = `answers that were not asked for come from ${remote.address} port ${remote.port}: another host may forge them`
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
