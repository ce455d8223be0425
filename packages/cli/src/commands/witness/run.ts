import { networkInterfaces } from 'node:os'
import { systemHost } from '@postern/core'
import { canonicalAddress, familyOf, isGlobal, isWildcard } from '@postern/interface'
import type { WitnessServer } from '@postern/witness/server'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { listenFailure } from '../../shared/listen-failure.js'
import { Failure, line, type Output } from '../../shared/output.js'
import { colorsFor } from '../../shared/terminal.js'
import { formatListen, type ListenPlace } from './listen-place.js'

/** The options of {@link runWitness}. */
export interface WitnessOptions {
  readonly server: WitnessServer
  readonly listen: readonly ListenPlace[]
  /** The port for metrics on loopback; undefined for none. */
  readonly metrics: number | undefined
  /** Additional host names for requests of the metrics. */
  readonly metricsHosts: readonly string[]
  readonly json: boolean
}

/** How often the status is written if it has changed, in ms. */
const statusMs = 60_000

/** Runs a witness server until it is interrupted. Resolves to the exit code. */
export async function runWitness(
  { server, listen, metrics, metricsHosts, json }: WitnessOptions,
  { out, err }: Output
): Promise<number> {
  const { bold, dim, green, yellow } = colorsFor(out)
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const tell = (event: Readonly<Record<string, unknown>>, text: string): void =>
    line(out, json ? JSON.stringify(event) : text)
  const exposition = metrics === undefined ? undefined : await openMetrics(server, metrics, metricsHosts)

  for (const place of listen) {
    try {
      // Linux would not let a listener on :: take IPv4 beside another one.
      const ipv6Only = listen.some(({ host, port }) => host === '0.0.0.0' && port === place.port)
      await server.listen(place.port, place.host, { ipv6Only })
    } catch (error) {
      exposition?.close()
      await server.close()
      throw new Failure(`cannot listen on ${formatListen(place)}: ${listenFailure(error)}`)
    }
  }
  const urls = listen.flatMap(urlsOf)
  tell(
    { event: 'listening', addresses: listen.map(formatListen), urls },
    [
      `${green('✔')} ${bold('Witness server')} on ${listen.map(formatListen).join(' and ')}`,
      ...urls.map((url) => `  $ postern doctor --witness ${url}`)
    ].join('\n')
  )
  const url = exposition?.url()
  if (url !== undefined) tell({ event: 'metrics', url }, `  Metrics: ${url}`)
  if (urls.length === 0 && !json)
    line(
      err,
      `${yellow('!')} no listener has a public address of this machine: name the server by its public address or name`
    )
  if (!json) line(err, dim('  Ctrl-C ends it.'))

  let told = JSON.stringify(statusOf(server))
  while (!signal.aborted) {
    await systemHost.clock.sleep(statusMs, { signal }).catch(() => undefined)
    const status = statusOf(server)
    if (signal.aborted || JSON.stringify(status) === told) continue
    told = JSON.stringify(status)
    tell({ event: 'status', ...status }, dim(`  ${describeStatus(status)}`))
  }
  await server.close()
  exposition?.close()
  tell({ event: 'stopped' }, 'Stopped.')
  interrupt.done()
  return exitCodes.success
}

async function openMetrics(server: WitnessServer, port: number, hosts: readonly string[]) {
  const [{ Registry, collectDefaultMetrics }, { listenForMetrics, metricsServer }, { registerWitnessMetrics }] =
    await Promise.all([import('prom-client'), import('../../shared/metrics-server.js'), import('./metrics.js')])
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  registerWitnessMetrics(registry, server)
  const exposition = metricsServer(registry, hosts)
  await listenForMetrics(exposition, port)
  return exposition
}

/** Returns the URLs of a listener at the public addresses of this machine. */
function urlsOf({ host, port }: ListenPlace): readonly string[] {
  const own = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
  const hosts = own.filter((each) =>
    isWildcard(host) ? familyOf(each) === familyOf(host) : canonicalAddress(each) === canonicalAddress(host)
  )
  return hosts.filter(isGlobal).map((each) => `http://${formatListen({ host: each, port })}`)
}

interface Status {
  /** Since the start, like the following ones. */
  readonly requests: number
  readonly reached: number
  readonly unreached: number
  readonly refused: number
}

const statusOf = ({ counters, refused }: WitnessServer): Status => ({
  requests: counters.requests,
  reached: counters.reached,
  unreached: counters.unreached,
  refused: Object.values(refused).reduce((sum, each) => sum + each, 0)
})

const describeStatus = ({ requests, reached, unreached, refused }: Status): string =>
  `so far ${requests} requests: ${reached} addresses answered, ${unreached} did not, ${refused} requests refused`
