import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { CallOptions, MultiaddrText } from '@postern/interface'
import { errorOf, type UpgradeCause } from './causes.js'
import type { Context } from './context.js'
import { createPunch, type Punch } from './punch.js'
import { isDirect, isRelayed } from './relayed.js'
import { letRelayGo } from './settle.js'

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
  /** A connection to this peer has ended: if that leaves it a relayed one alone, a way is looked for again. */
  closed(peer: PeerId): void
  /** The peer begins a round on a relayed connection that we have dialled. */
  answer(stream: Stream, connection: Connection): void
  /** Gets the peer connected directly, now. Rejects with a NatError, or with the signal's reason. */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  /** Resolves when nothing runs any more; the signal has aborted. */
  ended(): Promise<void>
}

/** After a failure the peer is left alone for so long, unless somebody asks, in ms. */
const restMs = 30_000
/** Of so many peers it is remembered when they failed. */
const mostFailed = 256

/** One punch a peer, and a bounded number of them at a time. */
export function createPunches(
  context: Context,
  tell: (peerId: string, state: UpgradeState) => void,
  call: CallOptions
): Punches {
  const { host, settings } = context
  const { clock, components } = host
  const running = new Map<string, Punch>()
  const failedMs = new Map<string, number>()
  const working = new Set<Promise<void>>()

  function work(task: Promise<void>): void {
    const tracked = task.catch(() => undefined).finally(() => working.delete(tracked))
    working.add(tracked)
  }

  function begin(relayed: Connection): Punch | undefined {
    const id = relayed.remotePeer.toString()
    const known = running.get(id)
    if (known !== undefined) return known
    if (call.signal.aborted || running.size >= settings.mostPeers) return undefined
    tell(id, { state: 'relayed' })
    const punch = createPunch(context, relayed, () => tell(id, { state: 'punching' }), call)
    running.set(id, punch)
    work(follow(id, punch))
    return punch
  }

  async function follow(id: string, punch: Punch): Promise<void> {
    const outcome = await punch.outcome.finally(() => running.delete(id))
    if (typeof outcome === 'string') {
      failedMs.delete(id)
      failedMs.set(id, clock.monotonicMs())
      if (failedMs.size > mostFailed) failedMs.delete([...failedMs.keys()][0] ?? id)
      return tell(id, { state: 'failed', cause: outcome })
    }
    await succeed(id, outcome)
  }

  async function succeed(id: string, direct: Connection): Promise<void> {
    failedMs.delete(id)
    tell(id, { state: 'direct', address: addressOf(direct) })
    await letRelayGo(context, direct, call)
  }

  function opened(relayed: Connection): void {
    const { remotePeer } = relayed
    if (components.connectionManager.getConnections(remotePeer).some(isDirect) || isResting(remotePeer.toString()))
      return
    begin(relayed)
  }

  const isResting = (id: string): boolean => clock.monotonicMs() - (failedMs.get(id) ?? -restMs) < restMs

  return {
    opened,
    closed(peer) {
      const relayed = components.connectionManager.getConnections(peer).find(isRelayed)
      if (relayed !== undefined) opened(relayed)
    },
    cameDirect(direct) {
      const id = direct.remotePeer.toString()
      if (failedMs.has(id) && !running.has(id)) work(succeed(id, direct))
    },
    answer(stream, connection) {
      // Whom the connection came to begins; everything else is refused, as go-libp2p does.
      const isOurs = isRelayed(connection) && connection.direction === 'outbound'
      const punch = isOurs ? begin(connection) : undefined
      if (punch === undefined) stream.abort(new Error('no round is due on this connection'))
      else punch.answer(stream)
    },
    async upgrade(peerId, { signal }) {
      signal.throwIfAborted()
      const connections = components.connectionManager
        .getConnections()
        .filter(({ remotePeer }) => remotePeer.toString() === peerId)
      const direct = connections.find(isDirect)
      if (direct !== undefined) return addressOf(direct)
      const relayed = connections.find(isRelayed)
      if (relayed === undefined) throw errorOf('disconnected')
      const punch = begin(relayed)
      if (punch === undefined) throw errorOf('too-many')
      const outcome = await Promise.race([punch.outcome, rejected(signal)])
      if (typeof outcome === 'string') throw errorOf(outcome)
      return addressOf(outcome)
    },
    async ended() {
      while (working.size > 0) await Promise.all(working)
    }
  }
}

const addressOf = ({ remoteAddr }: Connection): MultiaddrText => `/${remoteAddr.toString().slice(1)}`

const rejected = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
