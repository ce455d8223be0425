import type { Connection, Stream } from '@libp2p/interface'
import { type CallOptions, type NatError, natError } from '@postern/interface'
import { orAborted } from '@postern/net'
import { causeOf, type UpgradeCause } from './causes.js'
import type { Context } from './context.js'
import { type Mapping, passBy } from './mapping.js'
import type { Told } from './exchange.js'
import { isDirect } from './relayed.js'
import { answerRounds, beginRounds } from './rounds.js'
import { dialAnnounced } from './unilateral.js'
import { canWebRtc, dialWebRtc, iceMs } from './webrtc.js'

/** The attempt to get one peer connected directly. */
export interface Punch {
  readonly relayed: Connection
  /** Takes a stream on which the peer begins a round. */
  answer(stream: Stream): void
  /** The direct connection, or why there is none. Rejects with the reason of the signal only. */
  readonly outcome: Promise<Connection | UpgradeCause>
}

/**
 * Tries every way at once, until there is a direct connection or each way has failed: what the peer announces, from both
 * sides; the rounds of DCUtR, begun by the side that the relayed connection came to; and WebRTC where both have it.
 *
 * @param began - called when the two sides begin to agree
 */
export function createPunch(context: Context, relayed: Connection, began: () => void, call: CallOptions): Punch {
  const streams: Stream[] = []
  let waiting: ((stream: Stream) => void) | undefined

  function next({ signal }: CallOptions): Promise<Stream> {
    const ready = streams.shift()
    if (ready !== undefined) return Promise.resolve(ready)
    const { promise, resolve } = Promise.withResolvers<Stream>()
    waiting = resolve
    return orAborted(promise, { signal })
  }

  return {
    relayed,
    answer(stream) {
      // One is being served, and one may wait: a peer that opens more has lost count.
      if (waiting === undefined && streams.length > 0) return stream.abort(new Error('one round after the other'))
      const take = waiting
      waiting = undefined
      if (take === undefined) streams.push(stream)
      else take(stream)
    },
    outcome: tryAll(context, relayed, next, began, call).finally(() => {
      for (const stream of streams) stream.abort(new Error('it is over'))
    })
  }
}

async function tryAll(
  context: Context,
  relayed: Connection,
  next: (call: CallOptions) => Promise<Stream>,
  began: () => void,
  call: CallOptions
): Promise<Connection | UpgradeCause> {
  const { host, knowledge } = context
  const { remotePeer: peer, direction } = relayed
  const over = new AbortController()
  const bounded = { signal: AbortSignal.any([call.signal, over.signal]) }
  const hopeless = Promise.withResolvers<void>()
  let errors: readonly NatError[] = []
  let theirs: Mapping | undefined
  const watcher = {
    began,
    heard({ mapping }: Told) {
      theirs = mapping
      if (passBy(knowledge.mapping(), theirs)) hopeless.resolve()
    }
  }

  async function meet(): Promise<Connection> {
    const met =
      direction === 'inbound'
        ? await beginRounds(context, relayed, watcher, bounded)
        : await answerRounds(context, relayed, next, watcher, bounded)
    if (isConnection(met)) return met
    errors = met
    throw met.at(-1) ?? natError('NO_REPLY', 'the rounds led nowhere')
  }

  /** After TCP: its sockets are dearer, and what it needs of the routers is not the same. At once where TCP is hopeless, by
   * what is known of our NAT, or of both. */
  async function webRtcAfter(met: Promise<unknown>): Promise<Connection> {
    if (knowledge.mapping() !== 'address-and-port-dependent')
      await Promise.race([met.catch(() => undefined), hopeless.promise])
    if (!(await canWebRtc(host, peer))) throw natError('NO_SERVICE', 'one of the two does not speak WebRTC')
    bounded.signal.throwIfAborted()
    if (direction === 'outbound') return dialWebRtc(host, relayed, call)
    // The other side dials, and is given as long; whoever watches sees the connection.
    await host.clock.sleep(iceMs, bounded)
    throw natError('NO_REPLY', 'the other side did not come by WebRTC')
  }

  const watching = watch(context, relayed, bounded)
  try {
    const met = meet()
    const announced = dialAnnounced(host, peer, context.own, bounded, call)
    const first = Promise.any([met, announced, webRtcAfter(met)])
    return await Promise.race([first.catch(() => causeOf(errors, [knowledge.mapping(), theirs])), watching])
  } finally {
    over.abort(natError('NO_REPLY', 'it was decided otherwise'))
    call.signal.throwIfAborted()
  }
}

/** A direct connection can come about in any way, also by the other side; and the relayed one can end. */
function watch(
  { host: { components } }: Context,
  relayed: Connection,
  { signal }: CallOptions
): Promise<Connection | UpgradeCause> {
  const { events, connectionManager } = components
  const { remotePeer: peer } = relayed
  const { promise, resolve } = Promise.withResolvers<Connection | UpgradeCause>()
  const find = (): Connection | undefined => connectionManager.getConnections(peer).find(isDirect)
  const opened = ({ detail }: CustomEvent<Connection>): void => {
    if (detail.remotePeer.equals(peer) && isDirect(detail)) resolve(detail)
  }
  const closed = ({ detail }: CustomEvent<Connection>): void => {
    if (detail === relayed) resolve(find() ?? 'disconnected')
  }
  events.addEventListener('connection:open', opened)
  events.addEventListener('connection:close', closed)
  signal.addEventListener(
    'abort',
    () => {
      events.removeEventListener('connection:open', opened)
      events.removeEventListener('connection:close', closed)
      resolve('disconnected')
    },
    { once: true }
  )
  const there = find()
  if (there !== undefined) resolve(there)
  else if (relayed.status !== 'open') resolve('disconnected')
  return promise
}

const isConnection = (met: Connection | readonly NatError[]): met is Connection => 'remotePeer' in met
