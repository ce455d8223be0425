import { networkInterfaces } from 'node:os'
import { identify, identifyPush } from '@libp2p/identify'
import type { PrivateKey } from '@libp2p/interface'
import { type AutonatServer, type AutonatServerInit, autonatServer } from '@postern/autonat'
import { systemHost } from '@postern/core'
import { printable } from '@postern/interface'
import { type RelayServer, type RelayServerInit, registerRelayMetrics, relayServer } from '@postern/relay/server'
import type { WitnessServer } from '@postern/witness/server'
import { createLibp2p } from 'libp2p'
import type { Registry } from 'prom-client'
import { type AdmissionLimits, createAdmission } from '../../bounds/admission.js'
import { forgetPeers } from '../../bounds/forget-peers.js'
import { beyond, boundedTransports, relayFrames } from '../../bounds/node.js'
import { boundedPing } from '../../bounds/ping.js'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { denyDialMultiaddr, listenFailure, stack } from '../../shared/libp2p-stack.js'
import { Failure, line, type Output } from '../../shared/output.js'
import { stopWithin } from '../../shared/stop.js'
import { colorsFor } from '../../shared/terminal.js'
import { announceOf } from './addresses.js'
import { registerServerMetrics } from './metrics.js'

/** The limits for peers; see `postern relay --help`. */
export interface RelayLimits extends Required<RelayServerInit> {
  readonly admission: Omit<AdmissionLimits, 'frames'>
  readonly autonat: Pick<
    AutonatServerInit,
    | 'requestsPerMinute'
    | 'requestsPerPeer'
    | 'requestsPerIp'
    | 'requestsPerSubnet'
    | 'requestsPerNetwork'
    | 'concurrency'
  >
  /** The maximum number of streams that a peer may open over one connection. */
  readonly streamsPerConnection: number
}

/** The options of {@link relay}. */
export interface RelayOptions extends RelayLimits {
  readonly listen: readonly string[]
  /** The addresses to announce. Empty: the public addresses of this machine. */
  readonly announce: readonly string[]
  readonly privateKey: PrivateKey
  /** The port of a witness server for programs without libp2p; undefined for none. */
  readonly witness: number | undefined
  /** The port for metrics on loopback; undefined for none. */
  readonly metrics: number | undefined
  /** Additional host names for requests of the metrics. */
  readonly metricsHosts: readonly string[]
  readonly json: boolean
}

/** The window of a stream, in bytes. A circuit keeps at most two of these in memory if its far end does not read. */
const circuitWindowBytes = 256 * 1024

/** How often the status is written if it has changed, in ms. */
const statusMs = 60_000

/** Runs a relay and AutoNAT server until it is interrupted. Resolves to the exit code. */
export async function relay(options: RelayOptions, { out, err }: Output): Promise<number> {
  const { listen, privateKey, json } = options
  const { bold, dim, green, yellow } = colorsFor(out)
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const tell = (event: Readonly<Record<string, unknown>>, text: string): void =>
    line(out, json ? JSON.stringify(event) : text)

  const announce = options.announce.length > 0 ? options.announce : announceOf(listen, ownAddresses())
  const limits = { ...options.admission, frames: relayFrames }
  const admission = createAdmission(limits, systemHost.clock)
  const exposition =
    options.metrics === undefined
      ? undefined
      : (await import('../../shared/metrics.js')).nodeMetrics(options.metricsHosts)
  const node = await createLibp2p({
    ...stack({ maxInboundStreams: options.streamsPerConnection, maxStreamWindowBytes: circuitWindowBytes }),
    privateKey,
    start: false,
    addresses: { listen: [...listen], announce: [...announce] },
    transports: boundedTransports(admission),
    connectionGater: { ...admission.gater, denyDialMultiaddr },
    connectionManager: beyond(limits),
    // A relay never dials the addresses that peers announce, so identify need not store them.
    peerStore: { addressFilter: () => false },
    ...(exposition === undefined ? {} : { metrics: exposition.metrics }),
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: boundedPing(),
      forgetPeers: forgetPeers(),
      relay: relayServer(options),
      autonat: autonatServer(options.autonat)
    }
  })
  const { relay: server, autonat } = node.services
  admission.watch(node, (each) => server.isUsing(each) || autonat.isServing(each), signal)
  if (node.metrics !== undefined) {
    registerRelayMetrics(node.metrics, server)
    registerServerMetrics(node.metrics, autonat, admission)
  }

  const witness = options.witness === undefined ? undefined : await createWitness(exposition?.registry)
  try {
    if (options.metrics !== undefined) await exposition?.listen(options.metrics)
    if (options.witness !== undefined) await witness?.listen(options.witness)
    await node.start()
  } catch (error) {
    exposition?.close()
    await witness?.close()
    await stopWithin(node, err)
    throw new Failure(listenFailure(error))
  }

  const addresses = node.getMultiaddrs().map((each) => printable(each.toString()))
  tell(
    { event: 'listening', peerId: node.peerId.toString(), addresses },
    [
      `${green('✔')} ${bold('Relay and AutoNAT server')} ${node.peerId.toString()}`,
      ...addresses.map((each) => `  ${each}`)
    ].join('\n')
  )
  if (exposition?.url() !== undefined)
    tell({ event: 'metrics', url: exposition.url() }, `  Metrics: ${exposition.url()}`)
  if (options.witness !== undefined)
    tell(
      { event: 'witness', port: options.witness },
      `  Witness server for programs without libp2p: port ${options.witness}`
    )
  if (announce.length === 0) {
    line(
      err,
      `${yellow('!')} this machine has no public address of its own, so peers of other networks are told none. Forward the port in the router, and name the public address:\n$ postern relay --announce /ip4/PUBLIC-ADDRESS/tcp/4001`
    )
  }
  if (!json) line(err, dim('  Ctrl-C ends it.'))

  let told = JSON.stringify(statusOf(server, autonat))
  while (!signal.aborted) {
    await systemHost.clock.sleep(statusMs, { signal }).catch(() => undefined)
    const status = statusOf(server, autonat)
    if (signal.aborted || JSON.stringify(status) === told) continue
    told = JSON.stringify(status)
    tell({ event: 'status', ...status }, dim(`  ${describeStatus(status)}`))
  }
  if (!json) line(err, 'Stopping: reservations end, and relayed connections with them.')
  await Promise.all([stopWithin(node, err), witness?.close()])
  exposition?.close()
  tell({ event: 'stopped' }, 'Stopped.')
  interrupt.done()
  return exitCodes.success
}

/** Creates a witness server, with its metrics if there is a registry. */
async function createWitness(registry: Registry | undefined): Promise<WitnessServer> {
  const [{ createWitnessServer }, metrics] = await Promise.all([
    import('@postern/witness/server'),
    registry === undefined ? undefined : import('../witness/metrics.js')
  ])
  const server = createWitnessServer()
  if (registry !== undefined) metrics?.registerWitnessMetrics(registry, server)
  return server
}

const ownAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))

/** Returns the status, which is written at most once a minute. */
const statusOf = (server: RelayServer, autonat: AutonatServer): Status => ({
  reservations: server.reservations,
  connections: server.open,
  refused: Object.values(server.counters.refused).reduce((sum, each) => sum + each, 0),
  relayed: server.counters.relayed,
  verified: autonat.counters.reached
})

interface Status {
  readonly reservations: number
  readonly connections: number
  /** Since the start, like the following ones. */
  readonly refused: number
  readonly relayed: number
  readonly verified: number
}

const describeStatus = ({ reservations, connections, refused, relayed, verified }: Status): string =>
  `now ${reservations} reservations, ${connections} relayed connections; so far ${relayed} relayed, ${refused} reservations refused, ${verified} addresses verified`
