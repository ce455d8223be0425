import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ComponentLogger, Metrics } from '@libp2p/interface'
import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import { Registry } from 'prom-client'

/** Metrics of a node, and what they can be read from. */
export interface NodeMetrics {
  readonly metrics: (components: { readonly logger: ComponentLogger }) => Metrics
  /** Answers `GET /metrics` on loopback, to nobody else. Rejects where the port is taken. */
  listen(port: number): Promise<void>
  /** Where it does; undefined before. */
  url(): string | undefined
  close(): void
}

/** Metrics for Prometheus: those of libp2p, of the process, and whatever the services of the node register. */
export function nodeMetrics(): NodeMetrics {
  const registry = new Registry()
  let url: string | undefined
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end()
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end()
    )
  })
  return {
    metrics: prometheusMetrics({ registry }),
    async listen(port) {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      url = `http://127.0.0.1:${port}/metrics`
    },
    url: () => url,
    close() {
      server.close()
      server.closeAllConnections()
    }
  }
}
