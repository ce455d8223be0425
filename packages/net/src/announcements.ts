import {
  type CallOptions,
  canonicalAddress,
  type Gateway,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import { type OpenUdp, openUdp } from './udp.js'

export interface AnnouncementsOptions {
  /** Only what this gateway sends counts. */
  readonly gateway: Gateway
  readonly family: 4 | 6
  readonly group: string
  readonly port: number
  /** The port a real announcement comes from; without it any will do. */
  readonly fromPort?: number
  readonly heard: (bytes: Uint8Array) => void
  /** Told, in words for a person, why nothing can be heard.
   * @default not told */
  readonly unheard?: (reason: NatError) => void
  /** @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/**
 * Hears what a gateway multicasts until the signal aborts. What is heard is a hint: anybody on the link can forge it.
 *
 * Resolves to false, and hears nothing, where the port belongs to a program that does not share it (on macOS
 * mDNSResponder owns 5350) or the group cannot be joined.
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
