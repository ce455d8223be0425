import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import type { MultiaddrConnection, Stream, Transport, Upgrader } from '@libp2p/interface'
import { screenedCircuit } from '@postern/relay'
import { boundedRegistrar, createRequestBounds, type RequestBounds } from './request-bounds.js'
import { carriesBytes } from './stream-messages.js'

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
    return circuitRelayTransport()(
      // Read when they are needed: some components are made later.
      new Proxy(components, {
        get(target, key) {
          if (key === 'registrar') return registrar
          return key === 'upgrader' ? upgrader : Reflect.get(target, key)
        }
      })
    )
  })

/** An upgrader that has the stream of a relayed connection freed of the bounds of a request. */
const freeing = (upgrader: Upgrader, requests: RequestBounds): Upgrader =>
  new Proxy(upgrader, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return value
      if (key !== 'upgradeInbound' && key !== 'upgradeOutbound') return value.bind(target)
      return (connection: MultiaddrConnection, ...rest: readonly unknown[]): unknown => {
        const stream = streamOf(connection)
        if (key === 'upgradeInbound') requests.carries(stream)
        else carriesBytes(stream)
        return Reflect.apply(value, target, [connection, ...rest])
      }
    }
  })

/** Not in its interface; the version is pinned, and a test holds it. */
function streamOf(connection: MultiaddrConnection): Stream {
  if ('stream' in connection && isStream(connection.stream)) return connection.stream
  throw new Error('this version of @libp2p/circuit-relay-v2 is not known here')
}

const isStream = (value: unknown): value is Stream => typeof value === 'object' && value !== null && 'protocol' in value
