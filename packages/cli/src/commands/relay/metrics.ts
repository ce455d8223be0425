import type { Metrics } from '@libp2p/interface'
import type { AutonatServer } from '@postern/autonat'
import type { Admission } from '../../bounds/admission.js'
import type { RelayServer } from './server.js'

/** Registers the metrics of the relay, the AutoNAT server and the admission. */
export function registerRelayMetrics(
  metrics: Metrics,
  relay: RelayServer,
  autonat: AutonatServer,
  admission: Admission
): void {
  metrics.registerMetric('postern_inbound_connections', {
    help: 'Connections that peers have made and that are open',
    calculate: () => admission.connections
  })
  metrics.registerMetric('postern_inbound_handshakes', {
    help: 'Sockets that peers have opened and that are not a connection yet',
    calculate: () => admission.handshakes
  })
  metrics.registerMetric('postern_inbound_streams', {
    help: 'Streams that peers have opened and that are not closed',
    calculate: () => admission.streams
  })
  metrics.registerCounterGroup('postern_inbound_streams_refused_total', {
    label: 'reason',
    help: 'Streams that were refused, by the limit',
    calculate: eachSinceLast(() => ({ ...admission.counters.streams }))
  })
  metrics.registerCounterGroup('postern_inbound_connections_closed_total', {
    label: 'reason',
    help: 'Connections that were refused, by the limit, or closed for one of a prefix that holds less: evicted',
    calculate: eachSinceLast(() => ({ ...admission.counters.connections }))
  })
  metrics.registerCounterGroup('postern_inbound_handshakes_closed_total', {
    label: 'reason',
    help: 'Sockets that were refused, by the limit; closed for one of a prefix that holds less: evicted; or too slow',
    calculate: eachSinceLast(() => ({ ...admission.counters.handshakes }))
  })
  metrics.registerMetric('postern_relay_reservations', {
    help: 'Reservations that live',
    calculate: () => relay.reservations
  })
  metrics.registerMetric('postern_relay_connections', {
    help: 'Relayed connections that are open',
    calculate: () => relay.open
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
  const counters = (): Record<string, number> => {
    const { requests: _, dials: __, dialDataBytes: ___, ...answers } = autonat.counters
    return answers
  }
  metrics.registerCounter('postern_autonat_requests_total', {
    help: 'AutoNAT v2 requests',
    calculate: sinceLast(() => autonat.counters.requests)
  })
  metrics.registerCounterGroup('postern_autonat_limited_total', {
    label: 'limit',
    help: 'AutoNAT v2 requests that a limit turned away: of requests at a time, or of those of a minute',
    calculate: eachSinceLast(() => ({ ...autonat.limited }))
  })
  metrics.registerCounter('postern_autonat_dials_total', {
    help: 'Addresses that were dialled for others',
    calculate: sinceLast(() => autonat.counters.dials)
  })
  metrics.registerCounterGroup('postern_autonat_answers_total', {
    label: 'answer',
    help: 'Answers to AutoNAT v2 requests',
    calculate: eachSinceLast(counters)
  })
}

/** Returns a function that returns the increase since its last call, as calculated counters need it. */
function sinceLast(read: () => number): () => number {
  let before = 0
  return () => {
    const now = read()
    const more = now - before
    before = now
    return more
  }
}

function eachSinceLast(read: () => Readonly<Record<string, number>>): () => Record<string, number> {
  let before: Readonly<Record<string, number>> = {}
  return () => {
    const now = read()
    const more = Object.fromEntries(Object.entries(now).map(([key, value]) => [key, value - (before[key] ?? 0)]))
    before = now
    return more
  }
}
