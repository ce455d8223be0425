import type { Socket } from 'node:net'
import type {
  Connection,
  ConnectionGater,
  Libp2pEvents,
  MultiaddrConnection,
  Stream,
  TypedEventTarget
} from '@libp2p/interface'
import { canonicalAddress, type Clock } from '@postern/interface'
import { createPlaces, createRate, type Party, type PlaceLimits, type PlaceRefusal, type Places } from '@postern/net'
import { onStream } from './connection-streams.js'
import { ipOf } from './ip-of.js'
import type { ListenerKind, SocketGuard } from './listener-guard.js'

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
  readonly gater: Pick<ConnectionGater, 'denyInboundUpgradedConnection'>
  /** Listens to the events of the node until the signal aborts. `isBusy` says of which connections none may be closed. */
  watch(events: TypedEventTarget<Libp2pEvents>, isBusy: (connection: Connection) => boolean, signal: AbortSignal): void
}

interface Entry {
  readonly socket: Socket
  readonly address: string
  /** Ends the timeout of the handshake. */
  readonly settled: AbortController
  connection?: Connection
}

/** Throws a TypeError for a limit that is not a whole number of 1 or more. */
export function createAdmission(limits: AdmissionLimits, clock: Clock): Admission {
  const { handshakeTimeoutMs } = limits
  const handshakes = createPlaces<Entry>(limits.handshakes)
  const connections = createPlaces<Entry>(limits.connections)
  const streams = createPlaces<Stream>(limits.streams)
  const rate = createRate(limits.socketsPerSecond, 1000, clock)
  const counters: AdmissionCounters = { handshakes: noRefusals(), connections: noRefusals(), streams: noRefusals() }
  /** By the remote end of the socket, which is what libp2p knows of it later. */
  const entries = new Map<string, Entry>()
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
      victim.socket.destroy()
    }
  }

  const isIdle = ({ connection }: Entry): boolean => connection === undefined || !isBusy(connection)

  async function endAfterTimeout({ socket, settled }: Entry): Promise<void> {
    try {
      await clock.sleep(handshakeTimeoutMs, settled)
    } catch {
      return // It has become a connection, or is closed.
    }
    counters.handshakes.timeout++
    socket.destroy()
  }

  const guard: SocketGuard = (socket, kind) => {
    const { remoteAddress: address, remotePort } = socket
    if (address === undefined || remotePort === undefined) return false
    if (rate.take({ address }) !== undefined) {
      counters.handshakes.rate++
      return false
    }
    const entry: Entry = { socket, address, settled: new AbortController() }
    if (take(handshakes, counters.handshakes, entry, { address }, () => true) !== undefined) return false
    const key = keyOf(kind, remotePort, address)
    entries.set(key, entry)
    socket.once('close', () => {
      entry.settled.abort()
      handshakes.free(entry)
      connections.free(entry)
      if (entries.get(key) === entry) entries.delete(key)
    })
    void endAfterTimeout(entry)
    return true
  }

  function admitStream(stream: Stream, party: Party): void {
    const refusal = streams.take(stream, party)
    if (refusal === undefined) {
      stream.addEventListener('close', () => streams.free(stream), { once: true })
      return
    }
    counters.streams[refusal]++
    stream.abort(new Error('too many streams'))
  }

  const entryOf = (remote: Pick<MultiaddrConnection, 'remoteAddr'>): Entry | undefined => {
    const names = remote.remoteAddr.getComponents()
    const port = Number(names.find(({ name }) => name === 'tcp')?.value)
    const kind = names.some(({ name }) => name === 'ws') ? 'ws' : 'tcp'
    return entries.get(keyOf(kind, port, ipOf(remote)))
  }

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
      denyInboundUpgradedConnection(peer, remote) {
        const entry = entryOf(remote)
        if (entry === undefined || entry.socket.destroyed) return true
        const party = { address: entry.address, peer: peer.toString() }
        if (take(connections, counters.connections, entry, party, isIdle) !== undefined) return true
        handshakes.free(entry)
        entry.settled.abort()
        return false
      }
    },
    watch(events, busy, signal) {
      isBusy = busy
      events.addEventListener(
        'connection:open',
        ({ detail }) => {
          const entry = detail.direction === 'inbound' ? entryOf(detail) : undefined
          if (entry === undefined) return
          entry.connection = detail
          const party = { address: entry.address, peer: detail.remotePeer.toString() }
          onStream(detail, (stream) => admitStream(stream, party))
        },
        { signal }
      )
    }
  }
}

const keyOf = (kind: ListenerKind, port: number, address: string): string =>
  `${kind} ${port} ${canonicalAddress(address) ?? address}`

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
