import type { ComponentLogger, Metrics } from '@libp2p/interface'
import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import { Registry } from 'prom-client'
import { type MetricsServer, metricsServer } from './metrics-server.js'

/** The metrics of a node, and the server for them. */
export interface NodeMetrics extends MetricsServer {
  /** For `createLibp2p({ metrics })`. */
  readonly metrics: (components: { readonly logger: ComponentLogger }) => Metrics
  /** The registry, for metrics of other parts of the program. */
  readonly registry: Registry
}

/**
 * Creates metrics for Prometheus: those of libp2p, of the process, and of the services of the node.
 *
 * @param allowedHosts - names that `Host` may have besides loopback addresses and `localhost`
 */
export function nodeMetrics(allowedHosts: readonly string[] = []): NodeMetrics {
  const registry = new Registry()
  return { registry, metrics: prometheusMetrics({ registry }), ...metricsServer(registry, allowedHosts) }
}
