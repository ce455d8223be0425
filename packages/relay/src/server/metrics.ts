import type { Metrics } from '@libp2p/interface'
import { eachSinceLast, sinceLast } from '@postern/libp2p-utils'
import type { RelayServer } from './relay-server.js'

/** Registers the metrics of a relay server with the metrics of its node. */
export function registerRelayMetrics(metrics: Metrics, relay: RelayServer): void {
  metrics.registerMetric('postern_relay_reservations', {
    help: 'Reservations that live',
    calculate: () => relay.reservations
  })
  metrics.registerMetric('postern_relay_connections', {
    help: 'Relayed connections that are open',
    calculate: () => relay.open
  })
  metrics.registerMetric('postern_relay_reservations_max', {
    help: 'Reservations of all peers that the options allow',
    calculate: () => relay.max.reservations
  })
  metrics.registerMetric('postern_relay_connections_max', {
    help: 'Relayed connections of all peers that the options allow',
    calculate: () => relay.max.connections
  })
  metrics.registerCounter('postern_relay_reservations_total', {
    help: 'Reservations that were given, renewals not counted',
    calculate: sinceLast(() => relay.counters.reservations)
  })
  metrics.registerCounter('postern_relay_connections_total', {
    help: 'Connections that were relayed',
    calculate: sinceLast(() => relay.counters.relayed)
  })
  metrics.registerCounterGroup('postern_relay_reservations_refused_total', {
    label: 'reason',
    help: 'Reservations that were refused, by the limit: of the IP address, of its prefixes, of all; or no IP address',
    calculate: eachSinceLast(() => ({ ...relay.counters.refused }))
  })
  metrics.registerCounterGroup('postern_relay_connections_refused_total', {
    label: 'reason',
    help: 'Connections that were not relayed: no reservation there, a limit, or the peer did not answer',
    calculate: eachSinceLast(() => ({ ...relay.counters.unrelayed }))
  })
}
