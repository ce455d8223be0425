import { identify, identifyPush } from '@libp2p/identify'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { type MappingEvent, mappingEventNames, type PeerReport } from '@postern/core'
import {
  anySignal,
  classOf,
  parseMultiaddr,
  printable,
  type Strategy,
  systemClock,
  untilAborted
} from '@postern/interface'
import { type Libp2pHost, natTraversal } from '@postern/libp2p'
import { endpointOwners } from '@postern/node'
import { createLibp2p } from 'libp2p'
import { createAdmission } from '../../bounds/admission.js'
import { boundedCircuit } from '../../bounds/circuit.js'
import { forgetPeers } from '../../bounds/forget-peers.js'
import { beyond, boundedTransports, homeLimits } from '../../bounds/node.js'
import { boundedPing } from '../../bounds/ping.js'
import { activityOf } from '../../shared/activity.js'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { denyDialMultiaddr, listenFailure, reasonOf, stack } from '../../shared/libp2p-stack.js'
import { type LiveLine, noLiveLine } from '../../shared/live-line.js'
import type { NodeMetrics } from '../../shared/metrics.js'
import { Failure, line, type Output } from '../../shared/output.js'
import { readAddress, readDialAddress } from '../../shared/peers.js'
import { stopWithin } from '../../shared/stop.js'
import { createStrategyLines } from '../../shared/strategy-lines.js'
import { type Colors, colorsFor } from '../../shared/terminal.js'
import type { MetricsPlace, TraversalMetrics } from '../../shared/traversal-metrics.js'
import type { Watched } from '../common.js'
import { dialOnce, formatDialled } from './dial.js'
import { describeConclusion, describeMapping, inWordsOfNode } from './text.js'

/** The options of {@link node}. */
export interface NodeOptions {
  readonly strategies: readonly Strategy<Libp2pHost>[]
  readonly listen: readonly string[]
  /** Peers to connect to. */
  readonly peers: readonly string[]
  /** The named relays. Their data is kept after a disconnect, like that of the peers. */
  readonly relays: readonly string[]
  /** Peers to connect to once, with measurements. */
  readonly dial: readonly string[]
  /** The private key; undefined for a new one. */
  readonly privateKey: PrivateKey | undefined
  readonly json: boolean
  /** Where metrics are served.
   * @default nowhere */
  readonly metrics?: MetricsPlace | undefined
  /** Says what is being done.
   * @default nothing does */
  readonly live?: LiveLine
  /** Serves a page about the node.
   * @default there is none */
  readonly watched?: Watched | undefined
}

/** The time limit for connecting to a named peer, in ms: it takes three negotiations, possibly through a relay. */
const dialMs = 10_000

/** Runs a libp2p node with all strategies until it is interrupted. Resolves to the exit code. */
export async function node(options: NodeOptions, { out, err }: Output): Promise<number> {
  const { strategies, listen, peers, relays, dial, privateKey, json, live = noLiveLine, metrics, watched } = options
  const colors = colorsFor(out)
  const remarks = colorsFor(err)
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const tell = (event: object, text: string): void => line(out, json ? JSON.stringify(event) : text)

  // Includes the relay in a relayed address.
  const named = new Set(
    [...peers, ...relays, ...dial].flatMap((text) =>
      readAddress(text)
        .getComponents()
        .flatMap(({ name, value }) => (name === 'p2p' ? (value ?? []) : []))
    )
  )
  const isKept = (peer: PeerId): boolean => named.has(peer.toString())
  const exposition = metrics === undefined ? undefined : await openMetrics(metrics)
  const admission = createAdmission(homeLimits, systemClock)
  const running = await createLibp2p({
    ...stack(),
    ...(privateKey === undefined ? {} : { privateKey }),
    start: false,
    addresses: { listen: [...listen] },
    transports: [...boundedTransports(admission), boundedCircuit()],
    connectionGater: { ...admission.gater, denyDialMultiaddr },
    connectionManager: beyond(homeLimits),
    ...(exposition === undefined ? {} : { metrics: exposition.metrics }),
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: boundedPing(),
      forgetPeers: forgetPeers({ isKept }),
      nat: natTraversal({
        strategies,
        owners: endpointOwners({ program: 'postern peer' }),
        ...(exposition === undefined ? {} : { metrics: exposition.sink })
      })
    }
  })
  const { nat, ping: pings } = running.services
  await watched?.(nat)
  admission.watch(running, ({ remotePeer }) => isKept(remotePeer), signal)

  const namedCounts = { relays: relays.length, peers: peers.length }
  const tellMapping = (event: MappingEvent): void => tell(event, describeMapping(event, colors))
  for (const name of mappingEventNames) nat.addEventListener(name, ({ detail }) => tellMapping(detail))
  let concluded = ''
  nat.addEventListener('verdict', ({ detail }) => {
    const { verdict, cause } = detail
    if (concluded === `${verdict} ${cause}`) return
    concluded = `${verdict} ${cause}`
    tell({ event: 'verdict', verdict, cause }, describeConclusion(detail, namedCounts, colors))
  })
  nat.addEventListener('upgrade', ({ detail }) =>
    tell({ event: 'upgrade', ...detail }, describeUpgrade(detail, colors))
  )
  if (!json) {
    const tellStrategy = createStrategyLines(err, inWordsOfNode(namedCounts))
    nat.addEventListener('strategy', ({ detail }) => tellStrategy(detail))
  }
  let told: readonly string[] = []
  const tellAddresses = (): void => {
    const addresses = running
      .getMultiaddrs()
      .map((each) => printable(each.toString()))
      .filter(isForOthers)
    if (signal.aborted || addresses.join() === told.join()) return
    told = addresses
    tell({ event: 'addresses', addresses }, describeAddresses(addresses, colors))
  }
  running.addEventListener('self:peer:update', tellAddresses)
  // libp2p emits no event when a mapping is withdrawn.
  for (const name of [...mappingEventNames, 'verdict'] as const) nat.addEventListener(name, tellAddresses)

  const meet = async (address: string): Promise<void> => {
    await running
      .dial(readDialAddress(address), { signal: anySignal([signal, AbortSignal.timeout(dialMs)]) })
      .catch((error: unknown) => {
        const message = reasonOf(error)
        if (!signal.aborted)
          tell(
            { event: 'not-connected', address, message },
            `${colors.yellow('!')} ${address} is not connected: ${message}`
          )
      })
  }
  const measure = async (address: string): Promise<void> => {
    try {
      const dialled = await dialOnce(running, pings, address, {
        signal: anySignal([signal, AbortSignal.timeout(dialMs)])
      })
      tell({ event: 'dialled', ...dialled }, `${colors.green('✔')} ${formatDialled(dialled)}`)
    } catch (error) {
      const message = reasonOf(error)
      if (!signal.aborted)
        tell({ event: 'not-dialled', address, message }, `${colors.red('✘')} ${address} cannot be dialled: ${message}`)
    }
  }

  /** Dials one peer after the other, because two simultaneous dials of one peer may share a connection. */
  async function measureAll(): Promise<void> {
    for (const address of dial) await measure(address)
  }

  live.show('Starting the node')
  try {
    await running.start()
  } catch (error) {
    exposition?.close()
    await stopWithin(running, err)
    throw new Failure(listenFailure(error))
  }
  const peerId = running.peerId.toString()
  tell(
    { event: 'listening', peerId, addresses: running.getMultiaddrs().map((each) => printable(each.toString())) },
    `${colors.bold('Node')} ${peerId}`
  )
  const url = exposition?.url()
  if (url !== undefined) tell({ event: 'metrics', url }, `  Metrics: ${url}`)
  tellAddresses()
  if (!json) line(err, remarks.dim('  Ctrl-C releases everything and ends.'))
  const talks = Promise.all([...peers.map(meet), measureAll()])

  let isTalking = true
  void talks.then(() => {
    isTalking = false
  })
  live.show(() => activityOf(nat.report()) ?? (isTalking ? { doing: 'Connecting to the named peers' } : undefined))

  await untilAborted(signal)
  live.show('Releasing everything')
  await stopWithin(running, err)
  await talks
  exposition?.close()
  live.hide()
  interrupt.done()
  return exitCodes.success
}

/** Starts to serve the metrics of libp2p, of the process and of the traversal. */
async function openMetrics({ port, hosts }: MetricsPlace): Promise<NodeMetrics & Pick<TraversalMetrics, 'sink'>> {
  const [{ nodeMetrics }, { listenForMetrics }, { prometheusSink }] = await Promise.all([
    import('../../shared/metrics.js'),
    import('../../shared/metrics-server.js'),
    import('../../shared/prometheus-sink.js')
  ])
  const exposition = nodeMetrics(hosts)
  await listenForMetrics(exposition, port)
  return { ...exposition, sink: prometheusSink(exposition.registry) }
}

/** Returns whether other machines can use an address. */
const isForOthers = (address: string): boolean => classOf(parseMultiaddr(address)?.address ?? '') !== 'loopback'

function describeAddresses(addresses: readonly string[], colors: Colors): string {
  if (addresses.length === 0) return `${colors.bold('Addresses')} none that others could dial`
  return [
    `${colors.bold('Addresses')} that others can dial`,
    ...addresses.map((address) => `  ${address}${colors.dim(reachOf(address))}`)
  ].join('\n')
}

function describeUpgrade({ peer, state, address, cause }: PeerReport, colors: Colors): string {
  switch (state) {
    case 'direct':
      return `${colors.green('✔')} ${colors.bold('direct')}   to ${peer}${address === null ? '' : ` at ${address}`}`
    case 'failed':
      return `${colors.yellow('!')} ${colors.bold('relayed')}  to ${peer}: no direct connection${cause === null ? '' : ` (${cause})`}`
    default:
      return colors.dim(`  ${state.padEnd(8)} to ${peer}`)
  }
}

function reachOf(address: string): string {
  if (address.includes('/p2p-circuit')) return ' (through a relay)'
  const host = parseMultiaddr(address)?.address
  return host === undefined || classOf(host) === 'global' ? '' : ' (in the own network only)'
}
