import {
  type Arrival,
  abortReason,
  anySignal,
  type CallOptions,
  errorText,
  familyOf,
  isNatError,
  type NatError,
  natError,
  untilAborted,
  waitAtMost
} from '@postern/interface'
import { routeOf } from '@postern/libp2p-utils'
import type { Question } from './ask-v2.js'

/** What arrives at a listener of the program that does not speak libp2p, while one question is open. */
export interface ListenerArrivals {
  /** Resolves when a connection from the witness has arrived. */
  readonly proof: Promise<void>
  readonly isProven: boolean
  /** Resolves when a connection from the witness has arrived, or after `ms`. */
  wait(ms: number, call: CallOptions): Promise<void>
  /** Returns why a negative answer shows nothing: a connection arrived, and where it comes from is hidden or unknown.
   * Undefined if none arrived. */
  doubt(): NatError | undefined
  /** Stops watching. */
  stop(): void
}

const over = abortReason('the question is over')

/**
 * Watches for a connection that proves that a witness reached a listener which cannot receive a nonce. As in AutoNAT v1,
 * the proof is a fresh connection from the IP address of the witness, in the family of the address, while the question is
 * open. The peer was connected at a global address (`mayAsk`), so a connection from the local network is none; nor is
 * one from the external address itself, which the router returns from inside (hairpin).
 *
 * This is weaker than a nonce: another program at the IP address of the witness, behind the same NAT for example, may
 * connect by chance at the same moment. The quorum of witnesses on distinct networks bounds that.
 *
 * Returns undefined if the host lends no arrivals. Throws `WITNESS_UNPROVEN` if no connection could be proof: the host
 * cannot see them at present, the address is not one of plain TCP, or the witness is connected in another family, so that
 * its own address in this one is not known.
 */
export function watchListener(question: Question, call: CallOptions): ListenerArrivals | undefined {
  const { host, connection, route } = question
  if (host.arrivals === undefined) return undefined
  if (route.transport !== 'tcp') {
    throw natError(
      'WITNESS_UNPROVEN',
      `a libp2p peer cannot prove a listener over ${route.transport}, only one over tcp`
    )
  }
  const server = routeOf(connection.remoteAddr)
  if (server?.family !== route.family) {
    throw natError(
      'WITNESS_UNPROVEN',
      `the witness is not connected over IPv${route.family}, so its connection could not be told from others`
    )
  }
  const end = new AbortController()
  const proof = Promise.withResolvers<void>()
  let isProven = false
  let other: string | undefined
  const hear = ({ remoteAddress, recognize }: Arrival): void => {
    if (familyOf(remoteAddress) !== route.family) return
    if (remoteAddress !== server.host || remoteAddress === route.host) {
      other = remoteAddress
      return
    }
    isProven = true
    recognize()
    proof.resolve()
  }
  try {
    host.arrivals({ protocol: 'tcp' }, hear, { signal: anySignal([call.signal, end.signal]) })
  } catch (cause) {
    if (!isNatError(cause)) throw cause
    throw natError('WITNESS_UNPROVEN', `no connection can be seen: ${errorText(cause)}`, { cause })
  }

  return {
    proof: proof.promise,
    get isProven() {
      return isProven
    },
    async wait(ms, { signal }) {
      await waitAtMost(host.clock, ms, Promise.race([proof.promise, untilAborted(signal)]), undefined)
      signal.throwIfAborted()
    },
    doubt: () =>
      other === undefined
        ? undefined
        : natError(
            'WITNESS_UNPROVEN',
            `a connection from ${other} arrived meanwhile, and none from the address of the witness, ${server.host}: it may use several addresses, or a router or forwarder on the way hides where it comes from`
          ),
    stop: () => end.abort(over)
  }
}
