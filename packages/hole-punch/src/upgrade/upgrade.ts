import type { Connection, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, type NatError, natError } from '@postern/interface'
import { isDirect, isRelayed } from '@postern/libp2p-utils'
import type { Context } from '../context.js'
import type { Told } from '../dcutr/exchange.js'
import { createInbox } from '../dcutr/round-streams.js'
import { answerRounds, beginRounds } from '../dcutr/rounds.js'
import { dialAnnounced } from '../dial/announced-addresses.js'
import { canWebRtc, dialWebRtc, iceMs } from '../dial/webrtc.js'
import { cannotMeetOverTcp, type Mapping } from '../nat/mapping.js'
import { causeOf, type UpgradeCause } from './causes.js'

/** The attempt to establish a direct connection to one peer. */
export interface Punch {
  /** Adds another relayed connection to the peer. If both sides have dialled, each may begin rounds on one of them. */
  join(relayed: Connection): void
  /** Accepts a stream on which the peer begins a round, over a relayed connection that this node has dialled. */
  answer(stream: Stream, relayed: Connection): void
  /**
   * Resolves with the direct connection, or with the cause why there is none. Rejects only with the signal's reason.
   */
  readonly outcome: Promise<Connection | UpgradeCause>
}

/**
 * Tries several ways until there is a direct connection or all have failed. Both sides dial the addresses that the peer
 * announces; the side that received the relayed connection begins the DCUtR rounds; and WebRTC is tried if both sides
 * support it.
 *
 * @param began - called when the two sides begin an exchange
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
      // Both sides have dialled and either could begin; the one with the lesser peer id does.
      if (!over.signal.aborted && other.direction === 'inbound' && own < other.remotePeer.toString())
        rounds.begin(other)
    },
    answer(stream, other) {
      if (!over.signal.aborted) rounds.answer(other)
      inbox.put(stream)
    },
    outcome: tryAll(context, relayed, rounds, bounded, call).finally(() => {
      over.abort(natError('NO_REPLY', 'the punch has ended'))
      inbox.end()
    })
  }
}

/** The rounds that this side has begun or answered. */
interface Meeting {
  begin(relayed: Connection): void
  answer(relayed: Connection): void
  /** Resolves with the direct connection. Rejects when all rounds, begun and answered, have failed. */
  readonly met: Promise<Connection>
  /** Resolves when it is known that a TCP simultaneous open cannot succeed. */
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
      if (cannotMeetOverTcp(knowledge.mapping(), theirs)) hopeless.resolve()
    }
  }

  function run(part: Promise<Connection | readonly NatError[]>): void {
    running++
    part.then((outcome) => {
      running--
      if (isConnection(outcome)) return resolve(outcome)
      errors.push(...outcome)
      if (running === 0) reject(errors.at(-1) ?? natError('NO_REPLY', 'all rounds failed'))
    }, reject)
  }

  return {
    begin(relayed) {
      if (isBegun) return
      isBegun = true
      run(beginRounds(context, relayed, watcher, call))
      // The other side does not begin any more, unless it already has.
      patience.abort()
    },
    answer(relayed) {
      if (isAnswering) return
      isAnswering = true
      // Once this side has begun, a stream of the other side is there already, so patience does not apply.
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

  /** Runs after the TCP rounds, since WebRTC costs more resources. Runs immediately if our NAT is symmetric, or once
   * both mappings show that TCP cannot succeed. */
  async function webRtc(): Promise<Connection> {
    if (knowledge.mapping() !== 'address-and-port-dependent')
      await Promise.race([met.catch(() => undefined), rounds.hopeless])
    if (!(await canWebRtc(host, peer))) throw natError('NO_SERVICE', 'one of the two peers does not support WebRTC')
    bounded.signal.throwIfAborted()
    if (direction === 'outbound') return dialWebRtc(host, relayed, call)
    // The other side dials. `watch` sees its connection if it succeeds within the same time.
    await host.clock.sleep(iceMs, bounded)
    throw natError('NO_REPLY', 'the other side did not connect by WebRTC')
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

/**
 * Resolves with any direct connection to the peer, however it was established, or when the last relayed connection
 * ends.
 */
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
