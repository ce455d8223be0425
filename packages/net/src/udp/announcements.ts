import {
  type CallOptions,
  canonicalAddress,
  type Gateway,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import { type OpenUdp, openUdp } from './udp.js'

/** The options of {@link hearAnnouncements}. */
export interface AnnouncementsOptions {
  /** The gateway to listen to; datagrams from other addresses are ignored. */
  readonly gateway: Gateway
  /** The family of `group`. */
  readonly family: 4 | 6
  /** The multicast group to join. */
  readonly group: string
  /** The local UDP port, on which announcements arrive. */
  readonly port: number
  /** The source port of announcements; others are ignored.
   * @default any port */
  readonly fromPort?: number
  /** Called with each announcement. */
  readonly heard: (bytes: Uint8Array) => void
  /** Called with the reason, in words for the user, if announcements cannot be received.
   * @default none */
  readonly unheard?: (reason: NatError) => void
  /** Opens a socket.
   * @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/**
 * Receives the announcements that a gateway multicasts, until the signal aborts. An announcement is only a hint: any
 * host on the link can forge it.
 *
 * Resolves to true when it listens. Resolves to false, and receives nothing, if a program that does not share the port
 * owns it (on macOS mDNSResponder owns 5350) or the group cannot be joined. Rejects with the signal's reason.
 */
export async function hearAnnouncements(options: AnnouncementsOptions, { signal }: CallOptions): Promise<boolean> {
  const { gateway, family, group, port, fromPort, heard, unheard, open = openUdp } = options
  const zone = /%(.+)$/.exec(gateway.address)?.[1] ?? gateway.interface
  const router = canonicalAddress(gateway.address)
  try {
    await open(
      {
        family,
        local: { port },
        multicast: { group, interface: family === 4 ? gateway.localAddress : `::%${zone}` },
        onMessage(bytes, from) {
          if (canonicalAddress(from.address) === router && (fromPort ?? from.port) === from.port) heard(bytes)
        },
        onError: () => undefined
      },
      { signal }
    )
    return true
  } catch (error) {
    signal.throwIfAborted()
    if (!isNatError(error)) throw error
    unheard?.(whyUnheard(error, port))
    return false
  }
}

function whyUnheard(cause: NatError, port: number): NatError {
  const later = 'restarts of the router are noticed later, when it is next asked'
  if (cause.code === 'PORT_TAKEN')
    return natError('PORT_TAKEN', `another program listens on UDP port ${port} and does not share it: ${later}`, {
      cause
    })
  return natError('UNREACHABLE', `announcements to UDP port ${port} cannot be heard (${cause.message}): ${later}`, {
    cause
  })
}
