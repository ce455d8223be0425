import { localHttpServer } from '@postern/net'
import type { Registry } from 'prom-client'
import { listenFailure } from './listen-failure.js'
import { Failure } from './output.js'

/** A server for metrics. */
export interface MetricsServer {
  /** Answers `GET /metrics` on a port of loopback. Rejects if the port is taken. */
  listen(port: number): Promise<void>
  /** Returns the URL of the metrics; undefined before `listen`. */
  url(): string | undefined
  /** Closes the server. */
  close(): void
}

/** The characters that are replaced in labels, which may contain text of peers. */
// oxlint-disable-next-line no-control-regex
const outsideFormat = /[^\n\u0020-\u007e]/g

/**
 * Creates a server for the metrics of a registry.
 *
 * @param allowedHosts - names that `Host` may have besides loopback addresses and `localhost`
 */
export function metricsServer(registry: Registry, allowedHosts: readonly string[]): MetricsServer {
  let url: string | undefined
  const server = localHttpServer({
    allowedHosts,
    answer(request, response) {
      if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end()
      registry.metrics().then(
        (text) =>
          response.writeHead(200, { 'content-type': registry.contentType }).end(text.replaceAll(outsideFormat, '?')),
        () => response.writeHead(500).end()
      )
    }
  })
  // A command that fails must end although its metrics are served.
  server.unref()
  return {
    async listen(port) {
      url = `http://127.0.0.1:${await server.listen(port)}/metrics`
    },
    url: () => url,
    close: () => server.close()
  }
}

/** Lets a server for metrics listen. Rejects with a Failure that names the port. */
export async function listenForMetrics(server: MetricsServer, port: number): Promise<void> {
  try {
    await server.listen(port)
  } catch (error) {
    throw new Failure(`cannot listen on 127.0.0.1:${port} for metrics: ${listenFailure(error)}`)
  }
}
