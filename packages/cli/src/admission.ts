import type {
  Connection,
  ConnectionGater,
  Libp2pEvents,
  MultiaddrConnection,
  PeerId,
  TypedEventTarget
} from '@libp2p/interface'
import { canonicalAddress, type Clock } from '@postern/interface'
import { createPlaces, type Party, type PlaceLimits, type PlaceRefusal, type Places } from '@postern/net'
import { createFrameBudget, type FrameLimits } from './frame-budget.js'
import { ipOf } from './ip-of.js'
import type { ListenerKind, SocketGuard } from './listener-guard.js'
import { holdAfter, pausable } from './pausable-socket.js'
import { createSocketRate } from './socket-rate.js'
import { createStreamPlaces } from './stream-places.js'

/** A handshake is far shorter, with the HTTP request of a WebSocket. What is read beyond it waits for its end. */
const maxHandshakeBytes = 64 * 1024

/** How much of the listeners of a node its peers may take. */
export interface AdmissionLimits {
  /** Connections that are established. */
  readonly connections: PlaceLimits
  /** Sockets that are not a connection yet: an HTTP upgrade, the encryption and the multiplexer are being agreed on. */
  readonly handshakes: PlaceLimits
  /** Sockets that may come within a second. */
  readonly socketsPerSecond: PlaceLimits
  /** Streams that peers have opened. */
  readonly streams: PlaceLimits
  /** Frames that are processed. */
  readonly frames: FrameLimits
  /** How long a socket may take to become a connection. */
  readonly handshakeTimeoutMs: number
}

/** Why a socket or a connection was closed by us: no place, no connection in time, or its place went to another one. */
export type AdmissionRefusal = PlaceRefusal | 'rate' | 'timeout' | 'evicted'

export interface AdmissionCounters {
  readonly handshakes: Record<AdmissionRefusal, number>
  readonly connections: Record<AdmissionRefusal, number>
  readonly streams: Record<AdmissionRefusal, number>
}

/** Bounds what comes in to a libp2p node, by prefix. */
export interface Admission {
  readonly counters: AdmissionCounters
  /** Sockets that are not a connection yet. */
  readonly handshakes: number
  readonly connections: number
  /** Streams that peers have opened and that are not closed. */
  readonly streams: number
  /** For the listeners: see {@link guardedTransport}. */
  readonly guard: SocketGuard
  /** For `createLibp2p({ connectionGater })`. */
  readonly gater: Pick<ConnectionGater, 'denyInboundConnection' | 'denyInboundUpgradedConnection'>
  /** Listens to the events of the node until the signal aborts. `isBusy` says of which connections none may be closed. */
  watch(events: TypedEventTarget<Libp2pEvents>, isBusy: (connection: Connection) => boolean, signal: AbortSignal): void
}

interface Entry {
  /** Closes it at once. */
  readonly end: () => void
  readonly hasEnded: () => boolean
  readonly address: string
  /** Reads nothing for a time. */
  readonly pause?: (ms: number) => void
  /** Ends the timeout of the handshake. */
  readonly settled: AbortController
  connection?: Connection
}

/** Throws a TypeError for a limit that is not a whole number of 1 or more. */
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
  /** By the remote end of the socket, which is what libp2p knows of it later. */
  const entries = new Map<string, Entry>()
  /** What has no socket of its own. */
  const others = new WeakMap<MultiaddrConnection, Entry>()
  let isBusy: (connection: Connection) => boolean = () => false

  /** Takes a place, which another entry may have to give up. */
  function take(
    places: Places<Entry>,
    count: Record<AdmissionRefusal, number>,
    entry: Entry,
    party: Party,
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
      return // It has become a connection, or is closed.
    }
    counters.handshakes.timeout++
    end()
  }

  /** Remembers an entry. Returns what forgets it and gives its places back. */
  function keep(key: string, entry: Entry): () => void {
    entries.set(key, entry)
    const ended = forget(entry)
    return () => {
      ended()
      if (entries.get(key) === entry) entries.delete(key)
    }
  }

  /** Returns what gives the places of an entry back. */
  const forget = (entry: Entry) => (): void => {
    entry.settled.abort()
    handshakes.free(entry)
    connections.free(entry)
  }

  /** What came in through no listener of ours: through a relay, or as the passive side of a hole punch. */
  function otherOf(remote: MultiaddrConnection): Entry {
    const known = others.get(remote)
    if (known !== undefined) return known
    const entry: Entry = {
      end: () => remote.abort(new Error('the place is needed for another peer')),
      hasEnded: () => remote.status !== 'open',
      address: ipOf(remote),
      settled: new AbortController()
    }
    others.set(remote, entry)
    return entry
  }

  const guard: SocketGuard = (socket, kind) => {
    const { remoteAddress: address, remotePort } = socket
    if (address === undefined || remotePort === undefined) return false
    const key = keyOf(kind, remotePort, address)
    // libp2p does not tell to which local address a connection came: two from one remote end would share their places.
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
    // What it reads first is processed before it can be paused.
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
    return isRelayed ? undefined : entries.get(keyOf(kind, port, ipOf(remote)))
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
        // A socket has its place since the guard has seen it.
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
          // A connection without a socket of its own is read through one that has.
          frames.watch(detail, entry.address, (ms) => entry.pause?.(ms))
        },
        { signal }
      )
    }
  }
}

const keyOf = (kind: ListenerKind, port: number, address: string): string =>
  `${kind} ${port} ${canonicalAddress(address) ?? address}`

/** libp2p adds the peer id to the address of a connection that has none. */
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
