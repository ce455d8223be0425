import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import type { MultiaddrConnection, Stream, Transport, Upgrader } from '@libp2p/interface'
import {
  boundedRegistrar,
  carriesBytes,
  createRequestBounds,
  type RequestBounds,
  withOverrides
} from '@postern/libp2p-utils'
import { screenedCircuit } from '@postern/relay'

/** How many requests of relays to hand over a connection may be open, by the prefix of the relay. Each keeps a stream. */
const maxRequests = { total: 256, network: 128, subnet: 128, ip: 64, peer: 32 }

type Components = Parameters<ReturnType<typeof circuitRelayTransport>>[0]

/**
 * Creates the circuit transport of a node. It accepts requests for connections (STOP) only from relays of this node,
 * and limits what they may send with each.
 */
export const boundedCircuit = (): ((components: Components) => Transport) =>
  screenedCircuit((components: Components) => {
    const requests = createRequestBounds(maxRequests)
    const registrar = boundedRegistrar(components.registrar, requests)
    const upgrader = freeing(components.upgrader, requests)
    return circuitRelayTransport()(withOverrides(components, { registrar, upgrader }))
  })

/** Returns an upgrader that lifts the limits of a request from the stream of a relayed connection. */
const freeing = (upgrader: Upgrader, requests: RequestBounds): Upgrader =>
  withOverrides(upgrader, {
    upgradeInbound(connection, options) {
      requests.carries(streamOf(connection))
      return upgrader.upgradeInbound(connection, options)
    },
    upgradeOutbound(connection, options) {
      carriesBytes(streamOf(connection))
      return upgrader.upgradeOutbound(connection, options)
    }
  })

/** Returns the stream of a relayed connection. It is not in the public interface; the version is pinned, and a test
 * checks this. */
function streamOf(connection: MultiaddrConnection): Stream {
  if ('stream' in connection && isStream(connection.stream)) return connection.stream
  throw new Error('this version of @libp2p/circuit-relay-v2 is not known here')
}

const isStream = (value: unknown): value is Stream => typeof value === 'object' && value !== null && 'protocol' in value
