import type { MetricsSink } from '@postern/core'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { listenForMetrics, type MetricsServer, metricsServer } from './metrics-server.js'
import { prometheusSink } from './prometheus-sink.js'

/** Where metrics are served. */
export interface MetricsPlace {
  /** The port on 127.0.0.1. */
  readonly port: number
  /** Names that `Host` may have besides loopback addresses and `localhost`. */
  readonly hosts: readonly string[]
}

/** The metrics of a traversal and of the process, and the server for them. */
export interface TraversalMetrics extends MetricsServer {
  /** Where the traversal writes its numbers. */
  readonly sink: MetricsSink
}

/** Starts to serve the metrics of a traversal. Rejects with a Failure if the port is taken. */
export async function serveTraversalMetrics({ port, hosts }: MetricsPlace): Promise<TraversalMetrics> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const server = metricsServer(registry, hosts)
  await listenForMetrics(server, port)
  return { ...server, sink: prometheusSink(registry) }
}
