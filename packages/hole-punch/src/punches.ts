import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { type CallOptions, type MultiaddrText, natError } from '@postern/interface'
import { orAborted } from '@postern/net'
import { errorOf, type UpgradeCause } from './causes.js'
import type { Context } from './context.js'
import { forgetOldest } from './forget.js'
import { createPunch, type Punch } from './punch.js'
import { isDirect, isRelayed } from './relayed.js'
import { carriesTraffic, letRelayGo } from './settle.js'

/** How far a peer is on the way from the relay to a direct connection. */
export type UpgradeState =
  | { readonly state: 'relayed' | 'punching' }
  | { readonly state: 'direct'; readonly address: MultiaddrText }
  | { readonly state: 'failed'; readonly cause: UpgradeCause }

export interface Punches {
  /** A relayed connection has opened. */
  opened(relayed: Connection): void
  /** A direct connection has opened, however it came about: where a punch had failed, it is news. */
  cameDirect(direct: Connection): void
  /** A connection to this peer has ended: if that leaves it relayed ones alone, a way is looked for again. */
  closed(peer: PeerId): void
  /** The peer begins a round on a relayed connection that we have dialled. */
  answer(stream: Stream, connection: Connection): void
  /** Gets the peer connected directly, now. Rejects with a NatError, or with the signal's reason. */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  /** Resolves when nothing runs any more; the signal has aborted. */
  ended(): Promise<void>
}

/** So long after a punch has begun the peer is left alone, unless the application asks, in ms. */
const restMs = 30_000
/** A direct connection that has lasted so long was worth its punch: after it the next one need not wait, in ms. */
const steadyMs = 5000
/** Of so many peers it is remembered when they were punched for. */
const mostRemembered = 256

/** One punch a peer, and a bounded number of them at a time. */
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
  /** Peers who are relayed, and whose turn has not come. */
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
    if (call.signal.aborted || running.size >= settings.mostPeers) return undefined
    due.delete(id)
    beganMs.delete(id)
    beganMs.set(id, clock.monotonicMs())
    forgetOldest(beganMs, mostRemembered)
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
    forgetOldest(failed, mostRemembered)
    tell(id, { state: 'failed', cause: outcome })
  }

  async function succeed(id: string, direct: Connection): Promise<void> {
    failed.delete(id)
    tell(id, { state: 'direct', address: addressOf(direct) })
    const lasting = clock.sleep(steadyMs, call).then(() => {
      if (direct.status === 'open') beganMs.delete(id)
    })
    await Promise.all([lasting, letRelayGo(context, direct, call)])
  }

  const isResting = (id: string): boolean => clock.monotonicMs() - (beganMs.get(id) ?? -restMs) < restMs

  /** Begins now, or when the peer has rested and there is a place. */
  function want(relayed: Connection): void {
    const id = relayed.remotePeer.toString()
    const punch = running.get(id)
    if (punch !== undefined) return punch.join(relayed)
    if (!isResting(id) && begin(relayed) !== undefined) return
    due.add(id)
    lookSoon()
  }

  /** Looks after those whose turn has not come: now, and as long as there are any. */
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

  /** Whether nothing is to be done: a direct connection is there, and answers. One that does not is ended. */
  async function isDirectWith(peer: PeerId): Promise<boolean> {
    const direct = connectionManager.getConnections(peer).find(isDirect)
    if (direct === undefined) return false
    if (await carriesTraffic(context, direct, call)) return true
    direct.abort(natError('NO_REPLY', 'the peer came through a relay, and does not answer here'))
    return connectionManager.getConnections(peer).some(isDirect)
  }

  return {
    opened(relayed) {
      if (!connectionManager.getConnections(relayed.remotePeer).some(isDirect)) return want(relayed)
      // It would not have come through the relay, most likely, if the direct connection were alive.
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
      // Whom the connection came to begins; everything else is refused, as go-libp2p does.
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

/** How often the queue of peers is looked at, in ms. */
const lookMs = 5000

const addressOf = ({ remoteAddr }: Connection): MultiaddrText => `/${remoteAddr.toString().slice(1)}`
