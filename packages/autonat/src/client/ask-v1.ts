import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import {
  anySignal,
  type CallOptions,
  type Evidence,
  isNatError,
  type NatError,
  natError,
  within
} from '@postern/interface'
import { directRoute, messagesOf, openStream, type Route, routeOf } from '@postern/libp2p-utils'
import { fits } from '../wire/route.js'
import { decodeDialResponseV1, encodeDialV1, protocolV1, statusOkV1 } from '../wire/v1.js'
import { graceMs, type Question } from './ask-v2.js'
import type { Closers } from './closing-servers.js'
import { type ListenerArrivals, watchListener } from './listener-arrivals.js'

const maxBytes = 8192

/**
 * Asks a witness by AutoNAT v1, which has no nonce. A positive answer counts only if a new connection arrived from the
 * server's IP address meanwhile. A negative answer never counts: some servers reuse the existing connection for the
 * dial and therefore answer no to every connected peer.
 *
 * At a listener that is not the node's, the answer is always no, because no handshake follows: the connection alone counts.
 * Some servers dial the IP address at which they see this node instead of the one that they are asked about, so that has
 * to be the same.
 */
export async function askV1(question: Question, closers: Closers, call: CallOptions): Promise<Evidence> {
  const { host, connection, route } = question
  const listener = watchListener(question, call)
  if (listener !== undefined) return askAboutListener(question, closers, listener, call)
  const server = routeOf(connection.remoteAddr)
  const arrival = watchArrivals(question.host.components, (each) => isDialBack(each, server, route))
  try {
    const failure = await converse(question, closers, call).catch((error: unknown) => {
      call.signal.throwIfAborted()
      if (isNatError(error)) return error
      throw error
    })
    if (failure !== undefined) return { outcome: 'inconclusive', reason: failure }
    const late = (): NatError =>
      natError('WITNESS_UNPROVEN', 'the witness reported success, but no connection came from it')
    return await within(host.clock, graceMs, call, late, () => arrival.promise).then(
      () => ({ outcome: 'reachable' }) as const,
      (reason: unknown) => {
        call.signal.throwIfAborted()
        if (isNatError(reason)) return { outcome: 'inconclusive', reason } as const
        throw reason
      }
    )
  } finally {
    arrival.stop()
  }
}

/** go-libp2p answers a failed dial only when its time for dials is over, so the answer is not waited for once the connection
 * has arrived. */
async function askAboutListener(
  question: Question,
  closers: Closers,
  listener: ListenerArrivals,
  call: CallOptions
): Promise<Evidence> {
  const enough = new AbortController()
  const bounded = { signal: anySignal([call.signal, enough.signal]) }
  try {
    if (question.seenAt !== question.route.host) {
      const reason = natError('WITNESS_UNPROVEN', 'the witness does not say that it sees this node at the address')
      return { outcome: 'inconclusive', reason }
    }
    const said = converse(question, closers, bounded).catch((error: unknown) => {
      call.signal.throwIfAborted()
      if (isNatError(error)) return error
      throw error
    })
    const failure = await Promise.race([said, listener.proof])
    if (!listener.isProven) await listener.wait(graceMs, call)
    if (listener.isProven) return { outcome: 'reachable' }
    const missing = (): NatError =>
      natError('WITNESS_UNPROVEN', 'the witness reported success, but no connection came from it')
    return { outcome: 'inconclusive', reason: listener.doubt() ?? failure ?? missing() }
  } finally {
    listener.stop()
    enough.abort(natError('NO_REPLY', 'the witness has reached the listener'))
  }
}

function isDialBack(connection: Connection, server: Route | undefined, asked: Route): boolean {
  const remote = directRoute(connection)
  return (
    connection.direction === 'inbound' && remote?.host === server?.host && remote !== undefined && fits(asked, remote)
  )
}

function watchArrivals(
  { events }: Question['host']['components'],
  isWanted: (connection: Connection) => boolean
): { readonly promise: Promise<void>; readonly stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const opened = ({ detail }: CustomEvent<Connection>): void => {
    if (isWanted(detail)) resolve()
  }
  events.addEventListener('connection:open', opened)
  return { promise, stop: () => events.removeEventListener('connection:open', opened) }
}

/** Resolves with the reason why the answer is inconclusive, or with undefined for a positive answer. */
async function converse(question: Question, closers: Closers, call: CallOptions): Promise<NatError | undefined> {
  const { host, connection, address, timeoutMs } = question
  const { bytes } = multiaddr(address)
  const late = (): NatError => natError('NO_REPLY', `the witness did not answer within ${timeoutMs} ms`)
  return within(host.clock, timeoutMs, call, late, async (bounded) => {
    const messages = messagesOf(await openStream(connection, protocolV1, bounded), maxBytes, host.clock)
    const reset = (): void => messages.reset(new Error('the question has ended'))
    bounded.signal.addEventListener('abort', reset, { once: true })
    try {
      const answer = await closers.watch(connection, async () => {
        await messages.write(encodeDialV1(host.components.peerId.toMultihash().bytes, bytes), bounded)
        return decodeDialResponseV1(await messages.read(bounded))
      })
      await messages.finish(bounded)
      if (answer.status !== statusOkV1) {
        return natError(
          'WITNESS_UNPROVEN',
          `the witness answered no (status ${answer.status}), which proves nothing in AutoNAT v1`
        )
      }
      // go-libp2p also dials our observed address, and the spec says: "SHOULD include the address it successfully
      // dialed".
      if (answer.address.length > 0 && !isSame(answer.address, question.route)) {
        return natError('WITNESS_UNPROVEN', 'the witness reached another address')
      }
      return undefined
    } catch (error) {
      reset()
      throw error
    } finally {
      bounded.signal.removeEventListener('abort', reset)
    }
  })
}

function isSame(bytes: Uint8Array, asked: Route): boolean {
  const dialled = routeOf(bytes)
  return dialled?.host === asked.host && dialled.port === asked.port && dialled.transport === asked.transport
}
