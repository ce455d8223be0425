import {
  type CircuitRelayServerComponents,
  type CircuitRelayService,
  circuitRelayServer,
  RELAY_V2_HOP_CODEC,
  RELAY_V2_STOP_CODEC
} from '@libp2p/circuit-relay-v2'
import type { Connection, Libp2pEvents, PeerId, Startable, TypedEventTarget } from '@libp2p/interface'
import { onTheWire } from './hop-wire.js'
import { findRefusal, type Holder, type Refusal, type ReservationLimits } from './reservation-limits.js'

export interface RelayServerInit extends ReservationLimits {
  /** Reservations of all peers together. */
  readonly maxReservations: number
  /** Relayed connections of one peer at the same time. */
  readonly perPeer: number
  readonly reservationTtlMs: number
  /** How long one relayed connection may last. */
  readonly durationMs: number
  /** How much one relayed connection may carry, both ways together, in bytes. */
  readonly dataBytes: number
}

/** What the relay has done since it was made. */
export interface RelayCounters {
  /** Reservations that were given; renewals are not counted. */
  reservations: number
  /** Reservations that were refused, by reason: `total` is all places taken. */
  readonly refused: Record<Refusal | 'total', number>
  /** Connections that were relayed. */
  relayed: number
  /** Connections that were not relayed, by reason. */
  readonly unrelayed: Record<'no-reservation' | 'peer' | 'failed', number>
}

/** A libp2p service: a circuit relay v2 server with limits. */
export interface RelayServer extends Startable {
  readonly counters: RelayCounters
  /** Reservations that live. */
  readonly reservations: number
  /** Relayed connections that are open. */
  readonly open: number
}

export interface RelayServerComponents extends CircuitRelayServerComponents {
  readonly events: TypedEventTarget<Libp2pEvents>
}

/**
 * `circuitRelayServer()` with limits a peer, an IP address and a network; with reservations that end with the connection;
 * and with what it says about itself put right (see {@link onTheWire}).
 */
export const relayServer =
  (init: RelayServerInit) =>
  (components: RelayServerComponents): RelayServer => {
    const { registrar, peerStore, addressManager, peerId, privateKey, connectionManager, logger, metrics } = components
    const { events } = components
    /** Where a peer that is asking asks from. */
    const asking = new Map<string, Connection>()
    const reasons = new Map<string, Refusal | 'peer'>()
    const counters: RelayCounters = {
      reservations: 0,
      refused: { ip: 0, network: 0, address: 0, total: 0 },
      relayed: 0,
      unrelayed: { 'no-reservation': 0, peer: 0, failed: 0 }
    }

    const deny = (peer: PeerId, reason: Refusal | 'peer' | undefined): boolean => {
      if (reason !== undefined) reasons.set(peer.toString(), reason)
      return reason !== undefined
    }
    const server = circuitRelayServer({
      maxInboundHopStreams: init.perPeer + 8,
      maxOutboundStopStreams: init.perPeer + 8,
      reservations: {
        maxReservations: init.maxReservations,
        reservationTtl: init.reservationTtlMs,
        defaultDurationLimit: init.durationMs,
        defaultDataLimit: BigInt(init.dataBytes)
      }
    })({
      registrar,
      peerStore,
      addressManager,
      peerId,
      privateKey,
      connectionManager,
      logger,
      ...(metrics === undefined ? {} : { metrics }),
      connectionGater: {
        denyInboundRelayReservation(peer) {
          const connection = asking.get(peer.toString())
          const holder = { peer: peer.toString(), address: connection === undefined ? '' : ipOf(connection) }
          return deny(peer, findRefusal(holders(server), holder, init))
        },
        // The stream that asks for it is open already.
        denyOutboundRelayedConnection: (from, to) =>
          deny(
            from,
            streamsOf(from, RELAY_V2_HOP_CODEC) > init.perPeer || circuitsTo(to) >= init.perPeer ? 'peer' : undefined
          )
      }
    })

    const streamsOf = (peer: PeerId | undefined, protocol: string): number =>
      connectionManager
        .getConnections(peer)
        .reduce((sum, { streams }) => sum + streams.filter((stream) => stream.protocol === protocol).length, 0)
    const circuitsTo = (peer?: PeerId): number => streamsOf(peer, RELAY_V2_STOP_CODEC)

    onTheWire(server, {
      asked(connection) {
        asking.set(connection.remotePeer.toString(), connection)
      },
      over({ remotePeer }) {
        asking.delete(remotePeer.toString())
        reasons.delete(remotePeer.toString())
      },
      answering(connection, request, status) {
        const peer = connection.remotePeer
        const reason = reasons.get(peer.toString())
        if (request === 'RESERVE') return reserved(connection, status, reason)
        if (status === 'OK') counters.relayed++
        else
          counters.unrelayed[reason === 'peer' ? 'peer' : status === 'NO_RESERVATION' ? 'no-reservation' : 'failed']++
        return reason === 'peer' ? 'RESOURCE_LIMIT_EXCEEDED' : status
      }
    })

    const known = new WeakSet<object>()
    function reserved(connection: Connection, status: string, reason: Refusal | 'peer' | undefined): string {
      const reservation = server.reservations.get(connection.remotePeer)
      if (status === 'OK' && reservation !== undefined) {
        if (!known.has(reservation)) counters.reservations++
        known.add(reservation)
        // The library keeps the address of the first time.
        reservation.addr = connection.remoteAddr
      } else if (status === 'RESERVATION_REFUSED') counters.refused.total++
      else if (reason !== undefined && reason !== 'peer') {
        counters.refused[reason]++
        return 'RESERVATION_REFUSED'
      }
      return status
    }

    /** Through a connection that is closed nobody is reached, and the place would be taken until the time is over. */
    const disconnected = ({ detail }: CustomEvent<PeerId>): void => {
      // Its timer would end the peer's next reservation.
      server.reservations.get(detail)?.signal.clear()
      server.reservations.delete(detail)
    }

    return {
      counters,
      get reservations() {
        return server.reservations.size
      },
      get open() {
        return circuitsTo()
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

function* holders({ reservations }: CircuitRelayService): Iterable<Holder> {
  for (const [peer, { addr }] of reservations.entries()) {
    yield { peer: peer.toString(), address: addr.getComponents()[0]?.value ?? '' }
  }
}

const ipOf = ({ remoteAddr }: Connection): string => remoteAddr.getComponents()[0]?.value ?? ''

const isStartable = (service: object): service is Startable =>
  'start' in service && typeof service.start === 'function' && 'stop' in service && typeof service.stop === 'function'
