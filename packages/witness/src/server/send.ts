import { type CallOptions, type Clock, canonicalAddress, familyOf } from '@postern/interface'
import { encodeBindingIndication, openUdp } from '@postern/net'
import type { Place } from '../wire/messages.js'
import type { Attempt } from './connect.js'

/** The datagrams to send. */
export interface SendOptions extends Place {
  /** The local address to send from.
   * @default the address of the route */
  readonly localAddress: string | undefined
  readonly nonce: Uint8Array
  readonly clock: Clock
}

/** How many datagrams are sent. */
const maxDatagrams = 3
/** The interval between two datagrams, in milliseconds. */
const intervalMs = 500

/** Sends three STUN Binding indications with the nonce as their transaction id, from a new port. `connected` resolves
 * after the first one. */
export function sendIndications(
  { address, port, localAddress, nonce, clock }: SendOptions,
  call: CallOptions
): Attempt {
  const connected = Promise.withResolvers<Awaited<Attempt['connected']>>()
  const bytes = encodeBindingIndication(nonce)

  async function send(): Promise<void> {
    const socket = await openUdp(
      {
        family: familyOf(address) === 6 ? 6 : 4,
        remote: { address, port },
        ...(localAddress === undefined ? {} : { local: { address: localAddress } }),
        onMessage: () => undefined,
        // A refusal shows that nothing listens there; the client finds out by itself that nothing arrives.
        onError: () => undefined
      },
      call
    )
    try {
      const { address: local, port: localPort } = socket.local
      for (let sent = 0; sent < maxDatagrams; sent += 1) {
        socket.send(bytes)
        connected.resolve({ outcome: 'sent', from: { address: canonicalAddress(local) ?? local, port: localPort } })
        await clock.sleep(intervalMs, call)
      }
    } finally {
      socket.close()
    }
  }

  // A failure of this machine, or the server stops.
  const closed = send().catch(() => connected.resolve({ outcome: 'failed' }))
  return { connected: connected.promise, closed }
}
