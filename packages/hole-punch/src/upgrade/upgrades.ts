import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { type CallOptions, type MultiaddrText, natError, orAborted } from '@postern/interface'
import { isDirect, isRelayed } from '@postern/libp2p-utils'
import type { Context } from '../context.js'
import { forgetOldest } from '../dial/forget.js'
import { errorOf, type UpgradeCause } from './causes.js'
import { carriesTraffic, closeRelayed } from './close-relayed-connections.js'
import { createPunch, type Punch } from './upgrade.js'

/** The progress of a peer from a relayed to a direct connection. */
export type UpgradeState =
  | { readonly state: 'relayed' | 'punching' }
  | { readonly state: 'direct'; readonly address: MultiaddrText }
  | { readonly state: 'failed'; readonly cause: UpgradeCause }

/** The hole punches of one search. */
export interface Punches {
  /** Must be called when a relayed connection opens. */
  opened(relayed: Connection): void
  /** Must be called when a direct connection opens. Reports it if a punch for this peer had failed. */
  cameDirect(direct: Connection): void
  /** Must be called when a connection closes. Starts a punch if only relayed connections to the peer are left. */
  closed(peer: PeerId): void
  /** Accepts a stream on which the peer begins a round, over a relayed connection that this node has dialled. */
  answer(stream: Stream, connection: Connection): void
  /**
   * Resolves with the address of a direct connection to the peer. Rejects with `SYMMETRIC_NAT`, `REFUSED`, `NO_REPLY`,
   * `EXTERNAL_ADDRESS_UNKNOWN`, `UNSUPPORTED`, `GRANT_INVALID`, `QUOTA_EXCEEDED`, `UNREACHABLE` or the signal's reason.
   */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  /** Resolves when no punch runs any more. Called after the signal aborted. */
  ended(): Promise<void>
}

/** Minimum time between automatic punches for one peer (ms): a peer may reconnect through its relay again and again. */
const restMs = 30_000
/** After a direct connection of at least this duration (ms), the next punch need not wait. */
const steadyMs = 5000
/** How many peers are remembered with the time of their last punch. A forgotten one may be punched again too soon. */
const maxRemembered = 256

/** Creates the punches of one search: one per peer, and at most `settings.maxPeers` at a time. */
export function createPunches(
  context: Context,
  tell: (peerId: string, state: UpgradeState) => void,
  call: CallOptions
): Punches {
  const { host, settings } = context
  const { clock } = host
  const { connectionManager } = host.components
  const running = new Map<string, Punch>()
  const beganMs = new Map<string, number>()
  const failed = new Set<string>()
  /** Relayed peers that wait for their punch. */
  const due = new Set<string>()
  const working = new Set<Promise<void>>()
  let looking: Promise<void> | undefined

  function work(task: Promise<void>): Promise<void> {
    const tracked = task.catch(() => undefined).finally(() => working.delete(tracked))
    working.add(tracked)
    return tracked
  }

  const connectionsTo = (id: string): readonly Connection[] =>
    connectionManager.getConnections().filter(({ remotePeer }) => remotePeer.toString() === id)

  function begin(relayed: Connection): Punch | undefined {
    const id = relayed.remotePeer.toString()
    const known = running.get(id)
    if (known !== undefined) return known
    if (call.signal.aborted || running.size >= settings.maxPeers) return undefined
    due.delete(id)
    beganMs.delete(id)
    beganMs.set(id, clock.monotonicMs())
    forgetOldest(beganMs, maxRemembered)
    tell(id, { state: 'relayed' })
    const punch = createPunch(context, relayed, () => tell(id, { state: 'punching' }), call)
    running.set(id, punch)
    void work(follow(id, punch))
    return punch
  }

  async function follow(id: string, punch: Punch): Promise<void> {
    const outcome = await punch.outcome.finally(() => running.delete(id))
    lookSoon()
    if (typeof outcome !== 'string') return succeed(id, outcome)
    failed.add(id)
    forgetOldest(failed, maxRemembered)
    tell(id, { state: 'failed', cause: outcome })
  }

  async function succeed(id: string, direct: Connection): Promise<void> {
    failed.delete(id)
    tell(id, { state: 'direct', address: addressOf(direct) })
    const lasting = clock.sleep(steadyMs, call).then(() => {
      if (direct.status === 'open') beganMs.delete(id)
    })
    await Promise.all([lasting, closeRelayed(context, direct, call)])
  }

  const isResting = (id: string): boolean => clock.monotonicMs() - (beganMs.get(id) ?? -restMs) < restMs

  /** Starts a punch now, or later if the peer is resting or the limit is reached. */
  function want(relayed: Connection): void {
    const id = relayed.remotePeer.toString()
    const punch = running.get(id)
    if (punch !== undefined) return punch.join(relayed)
    if (!isResting(id) && begin(relayed) !== undefined) return
    due.add(id)
    lookSoon()
  }

  /** Starts the waiting punches that may start now, and repeats this while peers wait. */
  function lookSoon(): void {
    for (const id of due) {
      const all = connectionsTo(id)
      const relayed = all.find(isRelayed)
      if (relayed === undefined || all.some(isDirect)) due.delete(id)
      else if (!isResting(id)) begin(relayed)
    }
    if (due.size === 0 || call.signal.aborted) return
    looking ??= work(clock.sleep(lookMs, call)).then(() => {
      looking = undefined
      lookSoon()
    })
  }

  /** Resolves with whether a working direct connection exists. Closes a direct connection that does not answer. */
  async function isDirectWith(peer: PeerId): Promise<boolean> {
    const direct = connectionManager.getConnections(peer).find(isDirect)
    if (direct === undefined) return false
    if (await carriesTraffic(context, direct, call)) return true
    direct.abort(natError('NO_REPLY', 'the peer has connected through a relay and does not answer on this connection'))
    return connectionManager.getConnections(peer).some(isDirect)
  }

  return {
    opened(relayed) {
      if (!connectionManager.getConnections(relayed.remotePeer).some(isDirect)) return want(relayed)
      // A peer with a working direct connection would probably not have connected through the relay.
      void work(
        isDirectWith(relayed.remotePeer).then((isAlive) => {
          if (!isAlive && isRelayed(relayed)) want(relayed)
        })
      )
    },
    closed(peer) {
      const all = connectionManager.getConnections(peer)
      const relayed = all.find(isRelayed)
      if (relayed !== undefined && !all.some(isDirect) && !running.has(peer.toString())) want(relayed)
    },
    cameDirect(direct) {
      const id = direct.remotePeer.toString()
      if (failed.has(id) && !running.has(id)) void work(succeed(id, direct))
    },
    answer(stream, connection) {
      const refuse = (): void => stream.abort(new Error('no round is due on this connection'))
      // The side that received the connection begins. Streams in the other direction are refused, as in go-libp2p.
      if (!isRelayed(connection) || connection.direction !== 'outbound') return refuse()
      const take = (): void => {
        const punch = isRelayed(connection) ? begin(connection) : undefined
        if (punch === undefined) refuse()
        else punch.answer(stream, connection)
      }
      const { remotePeer } = connection
      if (!connectionManager.getConnections(remotePeer).some(isDirect)) return take()
      void work(isDirectWith(remotePeer).then((isAlive) => (isAlive ? refuse() : take()), refuse))
    },
    async upgrade(peerId, bounded) {
      bounded.signal.throwIfAborted()
      const connections = connectionsTo(peerId)
      const direct = connections.find(isDirect)
      if (direct !== undefined) return addressOf(direct)
      const relayed = connections.find(isRelayed)
      if (relayed === undefined) throw errorOf('disconnected')
      const punch = begin(relayed)
      if (punch === undefined) throw errorOf('too-many')
      const outcome = await orAborted(punch.outcome, bounded)
      if (typeof outcome === 'string') throw errorOf(outcome)
      return addressOf(outcome)
    },
    async ended() {
      while (working.size > 0) await Promise.all(working)
    }
  }
}

/** How often the waiting peers are examined, in milliseconds. */
const lookMs = 5000

const addressOf = ({ remoteAddr }: Connection): MultiaddrText => `/${remoteAddr.toString().slice(1)}`
