import type { CallOptions, Endpoint } from '@postern/interface'
import { printable } from '@postern/interface'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import { gatewayKey } from '../discovery/discoveries.js'
import { endpointFor, isOnPath, type WantedEndpoint } from '../discovery/endpoints.js'
import { eventReason } from '../model/events.js'
import { type ActiveMapping, createActiveMapping } from './active-mapping.js'
import { createPublisher, type Held } from './publish-mapping.js'
import { type Choice, createMappingRequests } from './request-mapping.js'
import { createRetry } from './retry.js'

/** Maps one wanted endpoint, and holds at most one lease for it. */
export interface EndpointMapping {
  readonly held: () => Held | undefined
  /** Whether an endpoint without wildcards has the protocol, family and port of the wanted one. */
  isOf(endpoint: Endpoint): boolean
  /** Whether everything that can be tried now has been tried. */
  readonly atRest: () => boolean
  /** Wakes the loop: `rescan` to choose among the strategies again, `recheck` to poll the lease at its gateway. */
  wake(why: 'rescan' | 'recheck'): void
  /** Reports that the gateway lost everything that it granted before this time (monotonic ms). */
  gatewayForgot(beforeMs: number): void
  /** Runs until `call` aborts, then releases the mapping; `shutdown` bounds the release. */
  run(call: CallOptions, shutdown: ShutdownScope): Promise<void>
}

export function createEndpointMapping(want: WantedEndpoint, context: Context): EndpointMapping {
  const { host, policy, bus, discoveries, progress } = context
  const { clock } = host
  const wakeup: Wakeup = createWakeup(clock)
  const publisher = createPublisher(context)
  const retry = createRetry(context)
  const requests = createMappingRequests({
    want,
    context,
    retry,
    publisher,
    wakeup,
    holder: () => mapping?.held().entry,
    disturbed: () => wakeup.wake(mapping === undefined ? 'rescan' : 'recheck')
  })
  let mapping: ActiveMapping | undefined
  let trying = true
  let reported = ''

  /** Returns the best mapper that may be asked now, or how long to wait for one, in ms. */
  function choose(): Choice | number {
    const now = clock.monotonicMs()
    let waitMs = Number.POSITIVE_INFINITY
    for (const entry of discoveries.entries) {
      for (const ability of entry.abilities.values()) {
        if (ability.kind !== 'mapper' || requests.isAsked(ability)) continue
        if (!isOnPath(ability, entry, context.network())) continue
        const endpoint = endpointFor(want, ability, context.network())
        if (endpoint === undefined) continue
        const readyMs = retry.readyMs(entry, ability, endpoint)
        if (readyMs > now) waitMs = Math.min(waitMs, readyMs - now)
        else if (progress.mayUse(entry.rank)) return { entry, mapper: ability, endpoint }
      }
    }
    return waitMs
  }

  /** Whether a mapper belongs to a network that this host has left, or can no longer serve the endpoint. */
  function isInVain({ entry, mapper, endpoint }: Choice): boolean {
    const network = context.network()
    if (![...entry.abilities.values()].some((ability) => ability === mapper) || !isOnPath(mapper, entry, network))
      return true
    return endpointFor(want, mapper, network)?.address !== endpoint.address
  }

  /** Reports that nothing works, once for each new set of reasons, and not while an answer may still come. */
  function reportFailureOnce(): void {
    if (!progress.isPassOver() || requests.isUnderWay()) return
    const reasons = discoveries.entries.flatMap((entry) => {
      // A missing witness or relay does not explain a missing mapping.
      if (entry.kind !== null && entry.kind !== 'mapper') return []
      const error = retry.errorOf(entry) ?? entry.absence
      if (error === undefined) return []
      const reason = eventReason(entry.name, error)
      return progress.isAwaited(entry) ? [{ ...reason, message: `${reason.message}; still searching` }] : [reason]
    })
    const text = reasons.map(({ strategy, code }) => `${strategy} ${code}`).join()
    // If no strategy maps ports, nothing has failed.
    if (text === reported || reasons.length === 0) return
    reported = text
    publisher.reportFailure(want, reasons)
  }

  async function hold(first: Held, call: CallOptions, shutdown: ShutdownScope): Promise<void> {
    const { entry, mapper } = first
    const sinceMs = clock.monotonicMs()
    reported = ''
    mapping = createActiveMapping(first, {
      context,
      wakeup,
      publisher,
      track: shutdown.track,
      askedLast: retry.postpone,
      giveBack: (lease) => shutdown.track(requests.giveBack(first, lease, shutdown)),
      answered(error) {
        if (entry.status.failure !== error) bus.emit('reportChanged', undefined)
        // The gateway has stopped answering: ask witnesses whether the mapping still works.
        if (error !== undefined && entry.status.failure === undefined) bus.emit('doubted', undefined)
        if (error === undefined) {
          entry.status.succeeded()
          retry.renewed(entry)
        } else {
          entry.status.failed(error)
          retry.renewalFailed(entry, mapper, error)
        }
      }
    })
    const { kind, why } = await mapping.keep(call)
    const askedMs = mapping.askedMs()
    mapping = undefined
    // Back off from a gateway that grants very short leases, or one address to several endpoints.
    const isShort = kind === 'lapsed' && clock.monotonicMs() - sinceMs < policy.retry.maxMs
    if (isShort || first.holder.isSuperseded()) retry.wasUseless(entry, mapper)
    if (kind === 'invalid') return retry.parted(mapper.gateway, first.endpoint, askedMs)
    entry.status.failed(why)
    retry.postpone()
  }

  async function pursue(call: CallOptions, shutdown: ShutdownScope): Promise<void> {
    while (!call.signal.aborted) {
      const granted = requests.take()
      if (granted !== undefined) {
        await hold(granted, call, shutdown)
        continue
      }
      requests.abandon(isInVain)
      const patienceMs = requests.patienceMs()
      if (patienceMs > 0) {
        trying = true
        await wakeup.wait(patienceMs, call)
        continue
      }
      const choice = choose()
      if (typeof choice !== 'number') {
        trying = true
        requests.start(choice, call, shutdown)
        continue
      }
      trying = false
      requests.remember()
      bus.emit('reportChanged', undefined)
      reportFailureOnce()
      await wakeup.wait(choice, call)
    }
  }

  return {
    held: () => mapping?.held(),
    isOf: ({ protocol, family, port }) =>
      protocol === want.endpoint.protocol && family === want.endpoint.family && port === want.endpoint.port,
    atRest: () => mapping !== undefined || !trying,
    wake(why) {
      if (mapping === undefined) trying = true
      wakeup.wake(why)
    },
    gatewayForgot(beforeMs) {
      // The restart may have been detected from the reply that granted this very lease.
      if (mapping !== undefined && !mapping.gatewayForgot(beforeMs)) return
      retry.gatewayRestarted(beforeMs)
      wakeup.wake('recheck')
    },
    async run(call, shutdown) {
      await pursue(call, shutdown).catch((error: unknown) => {
        if (!call.signal.aborted) host.log.info(`a mapping was given up: ${printable(String(error))}`)
      })
      await mapping?.release(shutdown)
      mapping = undefined
      await requests.end(shutdown)
      await context.mappingOwners.drop(want)
    }
  }
}

/** Returns the key of the gateway that holds this endpoint's mapping. */
export const gatewayKeyOf = (endpointMapping: EndpointMapping): string | undefined => {
  const gateway = endpointMapping.held()?.mapper.gateway
  return gateway === undefined || gateway === null ? undefined : gatewayKey(gateway)
}
