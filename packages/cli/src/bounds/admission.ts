import type {
  Connection,
  ConnectionGater,
  Libp2pEvents,
  MultiaddrConnection,
  PeerId,
  TypedEventTarget
} from '@libp2p/interface'
import { type Clock, canonicalAddress } from '@postern/interface'
import { ipOf } from '@postern/libp2p-utils'
import { createPlaces, type PlaceLimits, type PlaceRefusal, type Places, type RemoteParty } from '@postern/net'
import { createFrameBudget, type FrameLimits } from './frame-budget.js'
import type { ListenerKind, SocketGuard } from './listener-guard.js'
import { holdAfter, pausable } from './pausable-socket.js'
import { createSocketRate } from './socket-rate.js'
import { createStreamPlaces } from './stream-places.js'

/** The maximum number of bytes that are read before the handshake ends; handshakes are far shorter, even with the HTTP
 * request of a WebSocket. */
const maxHandshakeBytes = 64 * 1024

/** The limits for peers that connect to the listeners of a node. */
export interface AdmissionLimits {
  /** Established connections. */
  readonly connections: PlaceLimits
  /** Sockets that are not a connection yet: the HTTP upgrade, the encryption and the multiplexer are being
   * negotiated. */
  readonly handshakes: PlaceLimits
  /** New sockets in a second. */
  readonly socketsPerSecond: PlaceLimits
  /** Open streams that peers opened. */
  readonly streams: PlaceLimits
  /** Frames that are processed in a second. */
  readonly frames: FrameLimits
  /** How long a socket may take to become a connection, in ms. */
  readonly handshakeTimeoutMs: number
}

/** Why this node closed a socket or a connection: there was no place, it took too long, or its place went to another
 * one. */
export type AdmissionRefusal = PlaceRefusal | 'rate' | 'timeout' | 'evicted'

/** The numbers of refusals since the start, by reason. */
export interface AdmissionCounters {
  readonly handshakes: Record<AdmissionRefusal, number>
  readonly connections: Record<AdmissionRefusal, number>
  readonly streams: Record<AdmissionRefusal, number>
}

/** Limits the incoming connections of a libp2p node, by address prefix. */
export interface Admission {
  readonly counters: AdmissionCounters
  /** The number of sockets that are not a connection yet. */
  readonly handshakes: number
  /** The number of established incoming connections. */
  readonly connections: number
  /** The number of open streams that peers opened. */
  readonly streams: number
  /** For the listeners: see {@link guardedTransport}. */
  readonly guard: SocketGuard
  /** For `createLibp2p({ connectionGater })`. */
  readonly gater: Pick<ConnectionGater, 'denyInboundConnection' | 'denyInboundUpgradedConnection'>
  /** Listens to the events of the node until the signal aborts. `isBusy` returns whether a connection must not be
   * closed to make room. */
  watch(events: TypedEventTarget<Libp2pEvents>, isBusy: (connection: Connection) => boolean, signal: AbortSignal): void
}

interface Entry {
  /** Closes the socket at once. */
  readonly end: () => void
  readonly hasEnded: () => boolean
  readonly address: string
  /** Stops reading for a time. */
  readonly pause?: (ms: number) => void
  /** Cancels the timeout of the handshake. */
  readonly settled: AbortController
  connection?: Connection
}

/** Creates an admission. Throws a TypeError for a limit that is not a positive integer. */
export function createAdmission(limits: AdmissionLimits, clock: Clock): Admission {
  const { handshakeTimeoutMs } = limits
  const handshakes = createPlaces<Entry>(limits.handshakes)
  const connections = createPlaces<Entry>(limits.connections)
  const rate = createSocketRate(limits.socketsPerSecond, clock)
  const frames = createFrameBudget(limits.frames, clock)
  const counters: AdmissionCounters = { handshakes: noRefusals(), connections: noRefusals(), streams: noRefusals() }
  const streams = createStreamPlaces(limits.streams, (refusal) => {
    counters.streams[refusal]++
  })
  /** The entries by the remote end of the socket, by which libp2p identifies the connection later. */
  const entries = new Map<string, Entry>()
  /** The entries of connections without their own socket. */
  const others = new WeakMap<MultiaddrConnection, Entry>()
  let isBusy: (connection: Connection) => boolean = () => false

  /** Takes a place, and closes another entry if necessary. */
  function take(
    places: Places<Entry>,
    count: Record<AdmissionRefusal, number>,
    entry: Entry,
    party: RemoteParty,
    mayGo: (entry: Entry) => boolean
  ): PlaceRefusal | undefined {
    for (;;) {
      const refusal = places.take(entry, party)
      if (refusal === undefined) return undefined
      const victim = places.findVictim(party, refusal, mayGo)
      if (victim === undefined) {
        count[refusal]++
        return refusal
      }
      count.evicted++
      places.free(victim)
      victim.end()
    }
  }

  const isIdle = ({ connection }: Entry): boolean => connection === undefined || !isBusy(connection)

  async function endAfterTimeout({ end, settled }: Entry): Promise<void> {
    try {
      await clock.sleep(handshakeTimeoutMs, settled)
    } catch {
      return // It became a connection, or was closed.
    }
    counters.handshakes.timeout++
    end()
  }

  /** Stores an entry. Returns a function that removes it and gives its places back. */
  function keep(key: string, entry: Entry): () => void {
    entries.set(key, entry)
    const ended = forget(entry)
    return () => {
      ended()
      if (entries.get(key) === entry) entries.delete(key)
    }
  }

  /** Returns a function that gives the places of an entry back. */
  const forget = (entry: Entry) => (): void => {
    entry.settled.abort()
    handshakes.free(entry)
    connections.free(entry)
  }

  /** Returns the entry of a connection that did not come through a listener: through a relay, or from a hole punch. */
  function otherOf(remote: MultiaddrConnection): Entry {
    const known = others.get(remote)
    if (known !== undefined) return known
    const entry: Entry = {
      end: () => remote.abort(new Error('the place is needed for another peer')),
      hasEnded: () => remote.status !== 'open',
      address: ipOf(remote.remoteAddr) ?? '',
      settled: new AbortController()
    }
    others.set(remote, entry)
    return entry
  }

  const guard: SocketGuard = (socket, kind) => {
    const { remoteAddress: address, remotePort } = socket
    if (address === undefined || remotePort === undefined) return false
    const key = keyOf(kind, remotePort, address)
    // libp2p does not tell the local address of a connection, so two connections from one remote end could not be
    // distinguished.
    if (entries.get(key)?.hasEnded() === false) return false
    if (rate.take({ address }) !== undefined) {
      counters.handshakes.rate++
      return false
    }
    const settled = new AbortController()
    holdAfter(socket, maxHandshakeBytes, settled.signal)
    const pause = pausable(socket, clock)
    const entry: Entry = {
      end: () => socket.destroy(),
      hasEnded: () => socket.destroyed,
      address,
      settled,
      pause
    }
    if (take(handshakes, counters.handshakes, entry, { address }, () => true) !== undefined) return false
    // Pause now: the first data would otherwise be processed before the budget can pause the socket.
    const waitMs = frames.waitMs(address)
    if (waitMs > 0) pause(waitMs)
    socket.once('close', keep(key, entry))
    void endAfterTimeout(entry)
    return true
  }

  function socketOf(remote: Pick<MultiaddrConnection, 'remoteAddr'>): Entry | undefined {
    const names = remote.remoteAddr.getComponents()
    const port = Number(names.find(({ name }) => name === 'tcp')?.value)
    const kind = names.some(({ name }) => name === 'ws') ? 'ws' : 'tcp'
    const isRelayed = names.some(({ name }) => name === 'p2p-circuit')
    return isRelayed ? undefined : entries.get(keyOf(kind, port, ipOf(remote.remoteAddr) ?? ''))
  }

  const openedOf = (connection: Connection): Entry | undefined =>
    socketOf(connection) ?? entries.get(keyOfOther(connection.remotePeer, connection))

  return {
    counters,
    get handshakes() {
      return handshakes.used
    },
    get connections() {
      return connections.used
    },
    get streams() {
      return streams.used
    },
    guard,
    gater: {
      denyInboundConnection(remote) {
        // The guard has given the socket its place already.
        if (socketOf(remote) !== undefined) return false
        const entry = otherOf(remote)
        if (take(handshakes, counters.handshakes, entry, entry, () => true) !== undefined) return true
        remote.addEventListener('close', forget(entry), { once: true })
        void endAfterTimeout(entry)
        return false
      },
      denyInboundUpgradedConnection(peer, remote) {
        const entry = socketOf(remote) ?? otherOf(remote)
        if (entry.hasEnded()) return true
        const party = { address: entry.address, peer: peer.toString() }
        if (take(connections, counters.connections, entry, party, isIdle) !== undefined) return true
        handshakes.free(entry)
        entry.settled.abort()
        if (others.has(remote)) remote.addEventListener('close', keep(keyOfOther(peer, remote), entry), { once: true })
        return false
      }
    },
    watch(events, busy, signal) {
      isBusy = busy
      events.addEventListener(
        'connection:open',
        ({ detail }) => {
          const entry = detail.direction === 'inbound' ? openedOf(detail) : undefined
          if (entry === undefined) return
          entry.connection = detail
          const party = { address: entry.address, peer: detail.remotePeer.toString() }
          streams.watch(detail, party)
          // A connection without its own socket is carried by another connection, which is paused itself.
          frames.watch(detail, entry.address, (ms) => entry.pause?.(ms))
        },
        { signal }
      )
    }
  }
}

const keyOf = (kind: ListenerKind, port: number, address: string): string =>
  `${kind} ${port} ${canonicalAddress(address) ?? address}`

/** Returns the key of a connection without its own socket. libp2p adds the peer id to its address later, so it is
 * removed. */
const keyOfOther = (peer: PeerId, { remoteAddr }: Pick<MultiaddrConnection, 'remoteAddr'>): string =>
  `${remoteAddr.toString().replace(/\/p2p\/[^/]+$/, '')} ${peer.toString()}`

const noRefusals = (): Record<AdmissionRefusal, number> => ({
  peer: 0,
  ip: 0,
  subnet: 0,
  network: 0,
  total: 0,
  address: 0,
  rate: 0,
  timeout: 0,
  evicted: 0
})
