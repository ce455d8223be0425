import type { Metrics } from '@libp2p/interface'
import type { AutonatServer } from '@postern/autonat'
import { eachSinceLast, sinceLast } from '@postern/libp2p-utils'
import type { Admission } from '../../bounds/admission.js'

/** Registers the metrics of the AutoNAT server and the admission. */
export function registerServerMetrics(metrics: Metrics, autonat: AutonatServer, admission: Admission): void {
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
