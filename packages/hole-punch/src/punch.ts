import type { Connection, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, type NatError, natError } from '@postern/interface'
import { causeOf, type UpgradeCause } from './causes.js'
import type { Context } from './context.js'
import type { Told } from './exchange.js'
import { createInbox } from './inbox.js'
import { type Mapping, passBy } from './mapping.js'
import { isDirect, isRelayed } from './relayed.js'
import { answerRounds, beginRounds } from './rounds.js'
import { dialAnnounced } from './unilateral.js'
import { canWebRtc, dialWebRtc, iceMs } from './webrtc.js'

/** The attempt to get one peer connected directly. */
export interface Punch {
  /** Another relayed connection to the peer: when both sides have dialled, each has one that it begins rounds on. */
  join(relayed: Connection): void
  /** Takes a stream on which the peer begins a round, on a relayed connection that we have dialled. */
  answer(stream: Stream, relayed: Connection): void
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
  const inbox = createInbox()
  const over = new AbortController()
  const bounded = { signal: anySignal([call.signal, over.signal]) }
  const rounds = createMeeting(context, inbox.take, began, bounded)

  const own = context.host.components.peerId.toString()

  if (relayed.direction === 'inbound') rounds.begin(relayed)
  else rounds.answer(relayed)
  return {
    join(other) {
      // Both have dialled, and each could begin: the lesser id does.
      if (!over.signal.aborted && other.direction === 'inbound' && own < other.remotePeer.toString())
        rounds.begin(other)
    },
    answer(stream, other) {
      if (!over.signal.aborted) rounds.answer(other)
      inbox.put(stream)
    },
    outcome: tryAll(context, relayed, rounds, bounded, call).finally(() => {
      over.abort(natError('NO_REPLY', 'it was decided otherwise'))
      inbox.end()
    })
  }
}

/** The rounds on one side, or on both. */
interface Meeting {
  begin(relayed: Connection): void
  answer(relayed: Connection): void
  /** Rejects when all that were begun and answered led nowhere. */
  readonly met: Promise<Connection>
  /** Resolves when it is known that sockets of TCP pass by each other. */
  readonly hopeless: Promise<void>
  cause(): UpgradeCause
}

function createMeeting(
  context: Context,
  next: (call: CallOptions) => Promise<Stream>,
  began: () => void,
  call: CallOptions
): Meeting {
  const { knowledge } = context
  const { promise: met, resolve, reject } = Promise.withResolvers<Connection>()
  const hopeless = Promise.withResolvers<void>()
  const errors: NatError[] = []
  let theirs: Mapping | undefined
  let running = 0
  let isBegun = false
  let isAnswering = false
  const patience = new AbortController()
  const watcher = {
    began,
    heard({ mapping }: Told) {
      theirs = mapping
      if (passBy(knowledge.mapping(), theirs)) hopeless.resolve()
    }
  }

  function run(part: Promise<Connection | readonly NatError[]>): void {
    running++
    part.then((outcome) => {
      running--
      if (isConnection(outcome)) return resolve(outcome)
      errors.push(...outcome)
      if (running === 0) reject(errors.at(-1) ?? natError('NO_REPLY', 'the rounds led nowhere'))
    }, reject)
  }

  return {
    begin(relayed) {
      if (isBegun) return
      isBegun = true
      run(beginRounds(context, relayed, watcher, call))
      // Nobody begins on the other side, unless that is under way.
      patience.abort()
    },
    answer(relayed) {
      if (isAnswering) return
      isAnswering = true
      // There is a stream already, or nobody has begun yet.
      const waiting = isBegun ? new AbortController().signal : patience.signal
      run(answerRounds(context, relayed, next, watcher, waiting, call).finally(() => (isAnswering = false)))
    },
    met,
    hopeless: hopeless.promise,
    cause: () => causeOf(errors, [knowledge.mapping(), theirs])
  }
}

async function tryAll(
  context: Context,
  relayed: Connection,
  rounds: Meeting,
  bounded: CallOptions,
  call: CallOptions
): Promise<Connection | UpgradeCause> {
  const { host, knowledge, budget, own } = context
  const { remotePeer: peer, direction } = relayed
  const { met } = rounds

  /** After TCP: its sockets are dearer, and what it needs of the routers is not the same. At once where TCP is hopeless, by
   * what is known of our NAT, or of both. */
  async function webRtc(): Promise<Connection> {
    if (knowledge.mapping() !== 'address-and-port-dependent')
      await Promise.race([met.catch(() => undefined), rounds.hopeless])
    if (!(await canWebRtc(host, peer))) throw natError('NO_SERVICE', 'one of the two does not speak WebRTC')
    bounded.signal.throwIfAborted()
    if (direction === 'outbound') return dialWebRtc(host, relayed, call)
    // The other side dials, and is given as long; whoever watches sees the connection.
    await host.clock.sleep(iceMs, bounded)
    throw natError('NO_REPLY', 'the other side did not come by WebRTC')
  }

  const watching = watch(context, relayed, bounded)
  const announced = dialAnnounced(host, peer, own, budget, bounded, call)
  const first = Promise.any([met, announced, webRtc()])
  try {
    return await Promise.race([first.catch(() => rounds.cause()), watching])
  } finally {
    call.signal.throwIfAborted()
  }
}

/** A direct connection can come about in any way, also by the other side; and the relayed ones can end. */
function watch(
  { host: { components } }: Context,
  { remotePeer: peer }: Connection,
  { signal }: CallOptions
): Promise<Connection | UpgradeCause> {
  const { events, connectionManager } = components
  const { promise, resolve } = Promise.withResolvers<Connection | UpgradeCause>()
  const all = (): readonly Connection[] => connectionManager.getConnections(peer)
  const opened = ({ detail }: CustomEvent<Connection>): void => {
    if (detail.remotePeer.equals(peer) && isDirect(detail)) resolve(detail)
  }
  const look = (): void => {
    if (!all().some(isRelayed)) resolve(all().find(isDirect) ?? 'disconnected')
  }
  events.addEventListener('connection:open', opened)
  events.addEventListener('connection:close', look)
  signal.addEventListener(
    'abort',
    () => {
      events.removeEventListener('connection:open', opened)
      events.removeEventListener('connection:close', look)
      resolve('disconnected')
    },
    { once: true }
  )
  const there = all().find(isDirect)
  if (there !== undefined) resolve(there)
  else look()
  return promise
}

const isConnection = (met: Connection | readonly NatError[]): met is Connection => 'remotePeer' in met
