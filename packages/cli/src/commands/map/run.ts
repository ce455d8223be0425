import {
  type EndpointOwners,
  type MappingEvent,
  mappingEventNames,
  recordMetrics,
  type Store,
  systemHost,
  type Traversal
} from '@postern/core'
import {
  type Endpoint,
  type Family,
  familyOf,
  isGlobal,
  type Network,
  parseMultiaddr,
  type ServerHost,
  type Strategy,
  untilAborted,
  waitAtMost
} from '@postern/interface'
import { findNetwork } from '@postern/net'
import { runTraversal } from '@postern/runtime'
import { activityOf } from '../../shared/activity.js'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { type Activity, type LiveLine, noLiveLine } from '../../shared/live-line.js'
import { isLowPortRefusal, lowPortOf, lowPortReason, withLowPortAdvice } from '../../shared/low-ports.js'
import { nextSteps } from '../../shared/next-steps.js'
import { line, type Output, unlessAborted } from '../../shared/output.js'
import type { PortArgument } from '../../shared/parse.js'
import { createStrategyLines } from '../../shared/strategy-lines.js'
import { colorsFor } from '../../shared/terminal.js'
import type { MetricsPlace, TraversalMetrics } from '../../shared/traversal-metrics.js'
import type { Watched } from '../common.js'
import { connectionTable } from './connection-table.js'
import { createLooks } from './looks.js'
import { reasonsForNothing, untilNothingCanCome } from './once.js'
import { createMapVoice } from './text.js'
import { warnIfUnused, withoutBlindWitnesses } from './warnings.js'
import { type Scheme, schemeOf, webAddress } from './web-address.js'

/** The options of {@link map}. */
export interface MapOptions {
  readonly strategies: readonly Strategy<ServerHost>[]
  readonly lifetimeMs: number
  readonly externalPort: number | undefined
  /** The text of `--via`. */
  readonly via: string
  /** The options with which the user named witnesses, for commands to run next. */
  readonly asked: readonly string[]
  /** Whether to exit after the first result, and let the mapping expire. */
  readonly once: boolean
  readonly json: boolean
  readonly store: Store
  readonly owners: EndpointOwners
  /** Where metrics are served.
   * @default nowhere */
  readonly metrics?: MetricsPlace | undefined
  /** Says what is being done.
   * @default nothing does */
  readonly live?: LiveLine
  /** Serves a page about the mapping.
   * @default there is none */
  readonly watched?: Watched | undefined
  /** Resolves to the network of this host.
   * @default its routes and interfaces */
  readonly findNetwork?: typeof findNetwork
}

/** The time after an event within which the check of its address starts, in ms. */
const momentMs = 30
/** The same for a run that ends with its first result, which looks several times: a near router answers the check in 2 ms. */
const momentsMs = [0, 3, 6, 12, 24, momentMs] as const
/** The delay before the port itself is checked, in ms: on a usual machine the first requests have left by then. */
const checkPortAfterMs = 25
/** How long a run that ends with its first result waits for that check before it writes the result, in ms. */
const webPatienceMs = 250
/** The time after the first result at which it is written even if the check has not ended, in ms. */
const patienceMs = 6000

/** Maps a port until it is interrupted, or once. Resolves to the exit code. */
export async function map(argument: PortArgument, options: MapOptions, { out, err }: Output): Promise<number> {
  const { strategies, via, asked, lifetimeMs, externalPort, once, json, store, owners } = options
  const { findNetwork: find = findNetwork, live = noLiveLine, metrics, watched } = options
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const { clock } = systemHost
  const requestedPort = externalPort ?? argument.port
  const lowPort = lowPortOf(argument.port, requestedPort)
  live.show('Looking at the network of this machine')
  const found = await find({ signal }).catch(unlessAborted(signal))
  if (found === undefined) {
    live.hide()
    interrupt.done()
    return exitCodes.success
  }
  const host: ServerHost = { ...systemHost, arrivals: connectionTable(argument.port, clock) }
  const usable = withoutBlindWitnesses(strategies, argument, host, err)
  const run = runTraversal({
    strategies: usable,
    host,
    store,
    owners,
    policy: { lifetimeMs },
    network: found,
    findNetwork: find,
    socket: false
  })
  const { traversal } = run
  const exposition = metrics === undefined ? undefined : await serveMetrics(traversal, metrics)
  const url = exposition?.url()
  if (url !== undefined) line(out, json ? JSON.stringify({ event: 'metrics', url }) : `  Metrics: ${url}`)
  await watched?.(traversal)
  const waiting = new Map<Family, Endpoint>()
  const outcome = Promise.withResolvers<number>()
  const failed = new Set<Family>()
  let hasMapped = false

  const over = new AbortController()
  let patience: Promise<void> | undefined
  let isOverdue = false
  let scheme: Scheme | 'none' | undefined
  let lookingForWeb: Promise<void> | undefined
  let isPortUnused = false
  let isPortChecked = !once
  const voice = createMapVoice(
    {
      report: () => withLowPortAdvice(traversal.report(), lowPort),
      requestedPort,
      lowPort,
      once,
      json,
      isOver: () => signal.aborted,
      webAddress: (report) => (scheme === undefined || scheme === 'none' ? undefined : webAddress(report, scheme)),
      nextSteps: (report) =>
        nextSteps(report, {
          command: 'map',
          via,
          network: run.network(),
          port: argument.port,
          protocol: argument.protocol,
          asked,
          externalPort
        })
    },
    { out, err }
  )

  /** Looks whether the service answers HTTP: at the start, and after each event as long as nothing listens. A run that ends with its first
   * result does not look twice. */
  function lookForWeb(): void {
    if (argument.protocol !== 'tcp' || scheme !== undefined || lookingForWeb !== undefined) return
    if (once && isPortUnused) return
    lookingForWeb = schemeOf(argument.port).then((answer) => {
      lookingForWeb = undefined
      scheme = answer
      if (answer !== undefined && answer !== 'none') looks.begin()
    })
  }

  const tell = (event: MappingEvent): void => {
    voice.event(event)
    lookForWeb()
    looks.begin()
    patience ??= clock.sleep(patienceMs, over).then(
      () => {
        isOverdue = true
        patience = undefined
        voice.finish()
        settle()
      },
      () => undefined
    )
    const family = familyIn(event)
    if (event.event === 'failed') failed.add(family)
    if (event.event === 'mapped') {
      hasMapped = true
      waiting.delete(family)
      failed.delete(family)
    }
  }
  /** Ends a run with `--once` if there is a result. A failure counts only when no strategy waits for a slow router any
   * more. */
  function settle(): void {
    if (!once || !isPortChecked || [...waiting.keys()].some((family) => !failed.has(family))) return
    if (!isOverdue && voice.isHolding()) return
    const { strategies: all, verdict } = traversal.report()
    if (failed.size > 0 && all.some(({ waitingFor }) => waitingFor !== undefined)) return
    if (!isOverdue && verdict === 'unknown') return
    outcome.resolve([...failed].every(isVerified) ? exitCodes.success : exitCodes.failed)
  }
  /** Returns whether witnesses have reached the port without a mapping: it is forwarded by hand, or open in any case. */
  const isVerified = (family: Family): boolean =>
    traversal
      .report()
      .candidates.some(
        ({ address, state }) => state === 'verified' && familyOf(parseMultiaddr(address)?.address ?? '') === family
      )
  const looks = createLooks(clock, once ? momentsMs : [momentMs], () => {
    if (isPortChecked) voice.look()
    settle()
  })
  traversal.addEventListener('strategy', looks.begin)
  traversal.addEventListener('verdict', looks.begin)
  for (const name of mappingEventNames) traversal.addEventListener(name, ({ detail }) => tell(detail))
  if (!json) {
    const tellStrategy = createStrategyLines(err, (reason) =>
      lowPort !== undefined && isLowPortRefusal(reason) ? { ...reason, message: lowPortReason(lowPort) } : reason
    )
    traversal.addEventListener('strategy', ({ detail }) => tellStrategy(detail))
  }

  for (const endpoint of endpoints(argument, found)) {
    waiting.set(endpoint.family, endpoint)
    traversal.addEndpoint(endpoint, externalPort === undefined ? {} : { externalPort })
  }
  live.show('Starting')
  // A store that hangs must not delay an interruption.
  await Promise.race([run.start(), untilAborted(signal)])
  const portChecked = clock.sleep(checkPortAfterMs, { signal }).then(
    async () => {
      isPortUnused = await warnIfUnused(argument, found, err)
      if (!isPortUnused) lookForWeb()
      await lookingForWeb
    },
    () => undefined
  )
  const goOn = (): void => {
    isPortChecked = true
    looks.begin()
  }
  // A check that fails is reported at the end, where it is awaited.
  void waitAtMost(clock, checkPortAfterMs + webPatienceMs, portChecked, undefined).then(goOn, goOn)
  if (!json && !once) line(err, colorsFor(err).dim('  Ctrl-C releases the mapping and ends.'))
  /** Hidden once there is a result: the mapping is then kept in silence. */
  const activity = (): Activity | undefined => {
    const isConcluded = patience !== undefined || isOverdue || signal.aborted
    const waits = activityOf(traversal.report())
    if (waits !== undefined && (!isConcluded || waiting.size > 0)) return waits
    if (voice.isHolding()) return { doing: 'Checking the address' }
    return isConcluded ? undefined : { doing: 'Waiting for the router' }
  }
  live.show(activity)
  void untilAborted(signal).then(() => outcome.resolve(exitCodes.success))

  const giveUp = (): void => {
    for (const [family, { protocol, address, port }] of waiting) {
      if (failed.has(family)) continue
      const reasons = reasonsForNothing(traversal.report(), run.network(), family)
      const about = { protocol, internal: { address, port }, external: null, lifetimeSeconds: null, reasons }
      tell({ event: 'failed', strategy: null, ...about })
    }
  }
  if (once) void untilNothingCanCome(traversal, clock, over).then(giveUp, () => undefined)

  const code = await outcome.promise
  over.abort()
  looks.end()
  await Promise.race([patience, untilAborted(signal)])
  voice.finish()
  await Promise.race([portChecked.then(() => lookingForWeb), untilAborted(signal)])
  live.show(once && !signal.aborted ? 'Ending' : 'Releasing the mapping')
  // With nothing mapped, nothing is to be left: neither a request that may still be granted, nor the record of an owner.
  if (once && !signal.aborted && hasMapped) await run.unwatch()
  else await run.stop()
  exposition?.close()
  live.hide()
  interrupt.done()
  return code
}

async function serveMetrics(traversal: Traversal, place: MetricsPlace): Promise<TraversalMetrics> {
  const { serveTraversalMetrics } = await import('../../shared/traversal-metrics.js')
  const exposition = await serveTraversalMetrics(place)
  recordMetrics(traversal, exposition.sink)
  return exposition
}

/** Returns the endpoints to map: IPv4 always, and IPv6 if this host has a global address. */
function endpoints({ port, protocol }: PortArgument, { addresses }: Network): readonly Endpoint[] {
  const ipv4: Endpoint = { protocol, family: 4, address: '0.0.0.0', port }
  const hasIpv6 = addresses.some((address) => familyOf(address) === 6 && isGlobal(address))
  return hasIpv6 ? [ipv4, { protocol, family: 6, address: '::', port }] : [ipv4]
}

const familyIn = ({ internal }: MappingEvent): Family => familyOf(internal.address) ?? 4
