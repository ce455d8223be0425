import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import type { MultiaddrConnection, Stream, Transport, Upgrader } from '@libp2p/interface'
import { screenedCircuit } from '@postern/relay'
import { boundedRegistrar, createRequestBounds, type RequestBounds } from './request-bounds.js'
import { carriesBytes } from './stream-messages.js'
import { withOverrides } from './with-overrides.js'

/** Connections that relays are about to hand over. */
const maxRequests = { total: 256, network: 128, subnet: 128, ip: 64, peer: 32 }

type Components = Parameters<ReturnType<typeof circuitRelayTransport>>[0]

/**
 * The circuit transport of a node. Takes requests for connections (STOP) from relays of this node only, and bounds what they
 * may send with each.
 */
export const boundedCircuit = (): ((components: Components) => Transport) =>
  screenedCircuit((components: Components) => {
    const requests = createRequestBounds(maxRequests)
    const registrar = boundedRegistrar(components.registrar, requests)
    const upgrader = freeing(components.upgrader, requests)
    return circuitRelayTransport()(withOverrides(components, { registrar, upgrader }))
  })

/** An upgrader that has the stream of a relayed connection freed of the bounds of a request. */
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

/** Not in its interface; the version is pinned, and a test holds it. */
function streamOf(connection: MultiaddrConnection): Stream {
  if ('stream' in connection && isStream(connection.stream)) return connection.stream
  throw new Error('this version of @libp2p/circuit-relay-v2 is not known here')
}

const isStream = (value: unknown): value is Stream => typeof value === 'object' && value !== null && 'protocol' in value
