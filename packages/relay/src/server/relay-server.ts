import { type CircuitRelayServerComponents, circuitRelayServer, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Connection, Libp2pEvents, PeerId, Startable, Stream, TypedEventTarget } from '@libp2p/interface'
import { systemClock } from '@postern/interface'
import {
  boundedRegistrar,
  boundMessages,
  carriesBytes,
  createRequestBounds,
  hasEnded,
  ipOf,
  whenEnded
} from '@postern/libp2p-utils'
import { createPlaces, type PlaceRefusal } from '@postern/net'
import { createCircuitPlaces } from './circuit-places.js'
import { type Ask, onTheWire } from './hop-wire.js'
import { type RelayServerInit, readOptions } from './options.js'

/** The counters of a relay since it was created. */
export interface RelayCounters {
  /** Granted reservations, without renewals. */
  reservations: number
  /** Refused reservations, by reason. */
  readonly refused: Record<PlaceRefusal, number>
  /** Relayed connections. */
  relayed: number
  /** Refused or failed connections, by reason. */
  readonly unrelayed: Record<PlaceRefusal | 'no-reservation' | 'failed', number>
}

/** A libp2p service: a circuit relay v2 server with limits. */
export interface RelayServer extends Startable {
  readonly counters: RelayCounters
  /** The number of current reservations. */
  readonly reservations: number
  /** The number of open relayed connections. */
  readonly open: number
  /** How many reservations and relayed connections of all peers there may be. */
  readonly max: { readonly reservations: number; readonly connections: number }
  /** Returns whether a reservation or a relayed connection would end with this connection. */
  isUsing(connection: Connection): boolean
}

/** The libp2p components that the service needs. */
export interface RelayServerComponents extends CircuitRelayServerComponents {
  readonly events: TypedEventTarget<Libp2pEvents>
}

/** How long a peer may take to send its request, and another one to accept a relayed connection, in ms. */
const hopTimeoutMs = 10_000
/** The streams of one connection that may carry requests, in addition to those of relayed connections. */
const spareHopStreams = 8
/** How many requests may wait for an answer, by the prefix of the peer. Each keeps a stream and up to 16 KiB. */
const maxRequests = { total: 1024, network: 512, subnet: 256, ip: 128, peer: 64 }

/**
 * Creates `circuitRelayServer()` with limits for each peer, IP address and prefix, with reservations that end with the
 * connection, and with corrected messages. Use it as a service of a libp2p node. Throws a TypeError for an invalid
 * option, and for a version of `@libp2p/circuit-relay-v2` that it does not know.
 *
 * The node must not be named `js-libp2p` (`nodeInfo`): the server sends durations in seconds, as specified, and peers
 * read those of js-libp2p as milliseconds.
 */
export function relayServer(options: RelayServerInit = {}): (components: RelayServerComponents) => RelayServer {
  const init = readOptions(options)
  return (components) => {
    const { registrar, peerStore, addressManager, peerId, privateKey, connectionManager, logger, metrics } = components
    const { events } = components
    /** The reservations, by peer id. */
    const reservations = createPlaces<string>(init.reservations)
    const max = { reservations: init.reservations.total, connections: Math.ceil(init.circuitEnds.total / 2) }
    const circuits = createCircuitPlaces<Ask>({ ...init.circuitEnds, total: max.connections }, systemClock)
    /** The request streams that have become relayed connections. */
    const carrying = new WeakSet<Stream>()
    /** The open streams of each request for a circuit. Its place is freed when there are none. */
    const streamsOf = new WeakMap<Ask, Set<Stream>>()
    const reasons = new WeakMap<Ask, PlaceRefusal>()
    /** The request that the server handles at the moment; calls of the gater are about it. */
    let current: Ask | undefined
    const counters: RelayCounters = {
      reservations: 0,
      refused: noRefusals(),
      relayed: 0,
      unrelayed: { ...noRefusals(), 'no-reservation': 0, failed: 0 }
    }

    const deny = (reason: PlaceRefusal | undefined): boolean => {
      if (reason !== undefined && current !== undefined) reasons.set(current, reason)
      return reason !== undefined
    }
    const hops = createRequestBounds(maxRequests)
    const server = circuitRelayServer({
      hopTimeout: hopTimeoutMs,
      maxInboundHopStreams: init.circuitEnds.peer + spareHopStreams,
      maxOutboundStopStreams: init.circuitEnds.peer + spareHopStreams,
      reservations: {
        maxReservations: init.reservations.total,
        reservationTtl: init.reservationTtlMs,
        defaultDurationLimit: init.durationMs,
        defaultDataLimit: BigInt(init.dataBytes)
      }
    })({
      registrar: boundedRegistrar(registrar, hops),
      peerStore,
      addressManager,
      peerId,
      privateKey,
      connectionManager,
      logger,
      ...(metrics === undefined ? {} : { metrics }),
      connectionGater: {
        denyInboundRelayReservation: () => deny(current && takeReservation(current.connection)),
        denyOutboundRelayedConnection: (from, to) => deny(takeCircuit(from, to))
      }
    })

    function takeReservation(connection: Connection): PlaceRefusal | undefined {
      const peer = connection.remotePeer.toString()
      return reservations.take(peer, { address: ipOf(connection.remoteAddr) ?? '', peer })
    }

    function takeCircuit(from: PeerId, to: PeerId): PlaceRefusal | undefined {
      const [destination] = connectionManager.getConnections(to)
      if (current === undefined || destination === undefined) return undefined
      return circuits.take(current, {
        from: { address: ipOf(current.connection.remoteAddr) ?? '', peer: from.toString() },
        to: { address: ipOf(destination.remoteAddr) ?? '', peer: to.toString() }
      })
    }

    function hold(ask: Ask, stream: Stream, connection: Connection): void {
      const streams = streamsOf.get(ask) ?? new Set()
      streamsOf.set(ask, streams.add(stream))
      whenEnded(stream, connection, () => {
        streams.delete(stream)
        if (streams.size === 0) circuits.free(ask)
      })
    }

    onTheWire(server, {
      asked(ask) {
        current = ask
      },
      over(ask) {
        if ((streamsOf.get(ask)?.size ?? 0) === 0) circuits.free(ask)
        forgetUnlessReserved(ask.connection.remotePeer)
      },
      stopping(ask, far, connection) {
        boundMessages(far)
        hold(ask, far, connection)
      },
      carries(ask, near, far) {
        hops.carries(near)
        carriesBytes(far)
        // The stream may have been reset while the other peer was asked.
        if (hasEnded(near)) return
        carrying.add(near)
        hold(ask, near, ask.connection)
        circuits.carries(ask, () => near.abort(new Error('an idle circuit is cut for another one')))
      },
      moved: circuits.moved,
      answering(ask, status) {
        const reason = reasons.get(ask)
        if (ask.type === 'RESERVE') return reserved(ask.connection, status, reason)
        if (status === 'OK') counters.relayed++
        else counters.unrelayed[reason ?? (status === 'NO_RESERVATION' ? 'no-reservation' : 'failed')]++
        return reason === undefined ? status : 'RESOURCE_LIMIT_EXCEEDED'
      }
    })

    const known = new WeakSet<object>()
    function reserved(connection: Connection, status: string, reason: PlaceRefusal | undefined): string {
      const peer = connection.remotePeer
      const reservation = server.reservations.get(peer)
      if (status === 'OK' && reservation !== undefined) {
        // Another request of the peer may have ended since the grant, and freed the place.
        if (!reservations.has(peer.toString())) takeReservation(connection)
        if (!known.has(reservation)) {
          counters.reservations++
          reservation.signal.addEventListener('abort', () => forgetUnlessReserved(peer), { once: true })
        }
        known.add(reservation)
        // The library keeps the address of the first reservation.
        reservation.addr = connection.remoteAddr
      } else if (status === 'RESERVATION_REFUSED') counters.refused.total++
      else if (reason !== undefined) {
        counters.refused[reason]++
        return 'RESERVATION_REFUSED'
      }
      return status
    }

    function forgetUnlessReserved(peer: PeerId): void {
      if (!server.reservations.has(peer)) reservations.free(peer.toString())
    }

    /** Ends the reservation of a disconnected peer, which would otherwise keep its place until it expires. */
    const disconnected = ({ detail }: CustomEvent<PeerId>): void => {
      // Clear the timer, which would end the next reservation of the peer.
      server.reservations.get(detail)?.signal.clear()
      server.reservations.delete(detail)
      forgetUnlessReserved(detail)
    }

    return {
      counters,
      max,
      get reservations() {
        return server.reservations.size
      },
      get open() {
        return circuits.used
      },
      isUsing(connection) {
        const isRelaying = connection.streams.some(
          (stream) => stream.protocol === RELAY_V2_STOP_CODEC || carrying.has(stream)
        )
        if (isRelaying) return true
        const { remotePeer } = connection
        // The server uses the first connection to reach the peer.
        return server.reservations.has(remotePeer) && connectionManager.getConnections(remotePeer)[0] === connection
      },
      async start() {
        events.addEventListener('peer:disconnect', disconnected)
        if (isStartable(server)) await server.start()
      },
      async stop() {
        events.removeEventListener('peer:disconnect', disconnected)
        if (isStartable(server)) await server.stop()
      }
    }
  }
}

const noRefusals = (): Record<PlaceRefusal, number> => ({
  peer: 0,
  ip: 0,
  subnet: 0,
  network: 0,
  total: 0,
  address: 0
})

const isStartable = (service: object): service is Startable =>
  'start' in service && typeof service.start === 'function' && 'stop' in service && typeof service.stop === 'function'
