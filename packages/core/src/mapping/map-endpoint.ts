import type { CallOptions, Endpoint } from '@postern/interface'
import { printable } from '@postern/interface'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import { gatewayKey } from '../discovery/discoveries.js'
import { endpointFor, isOnPath, type WantedEndpoint } from '../discovery/endpoints.js'
import { eventReason, type MappingEvent } from '../model/events.js'
import { type ActiveMapping, createActiveMapping } from './active-mapping.js'
import type { Choice } from './late-grants.js'
import { createPublisher, type GrantedMapping } from './publish-mapping.js'
import { createMappingRequests } from './request-mapping.js'
import { createRetry } from './retry.js'

/** Maps one wanted endpoint, and holds at most one mapping for it. */
export interface EndpointMapping {
  /** Returns the active mapping; undefined while there is none. */
  readonly active: () => GrantedMapping | undefined
  /** Whether an endpoint without wildcards has the protocol, family and port of the wanted one. */
  isOf(endpoint: Endpoint): boolean
  /** Whether everything that can be tried now has been tried. */
  readonly isSettled: () => boolean
  /** Wakes the loop: `rescan` to choose among the strategies again, `recheck` to poll the lease at its gateway. */
  wake(why: 'rescan' | 'recheck'): void
  /** Reports that the gateway lost everything that it granted before this time (monotonic ms). */
  gatewayForgot(beforeMs: number): void
  /** Runs until `call` aborts, then releases the mapping; `shutdown` bounds the release. */
  run(call: CallOptions, shutdown: ShutdownScope): Promise<void>
}

/** The state of one wanted endpoint. `choosing`: a mapper may be asked now. `requesting`: mappers have been asked and may
 * still answer. `idle`: each mapper has been tried, and none may be asked again yet. `active`: a mapping is kept. */
type State =
  | { readonly kind: 'choosing' | 'requesting' | 'idle' }
  | { readonly kind: 'active'; readonly mapping: ActiveMapping }

/** What to do next to get a mapping. */
type Step =
  | { readonly do: 'keep'; readonly granted: GrantedMapping }
  | { readonly do: 'ask'; readonly choice: Choice }
  /** `requesting`: wait for answers. `idle`: wait until a mapper may be asked again. */
  | { readonly do: 'wait'; readonly as: 'requesting' | 'idle'; readonly ms: number }

/** What is told of the mapping of an endpoint. */
export interface MappingListener {
  /** Called before the events, with the mapping when it was granted or renewed, and with undefined when it has ended. */
  changed(granted: GrantedMapping | undefined): void
  /** Called with each event for the listeners of the traversal. */
  told(event: MappingEvent): void
}

export function createEndpointMapping(
  want: WantedEndpoint,
  context: Context,
  listener: MappingListener
): EndpointMapping {
  const { host, policy, bus, discoveries, progress } = context
  const { clock } = host
  const wakeup: Wakeup = createWakeup(clock)
  const publisher = createPublisher(context, listener.told)
  const retry = createRetry(context)
  let state: State = { kind: 'choosing' }
  const activeMapping = (): ActiveMapping | undefined => (state.kind === 'active' ? state.mapping : undefined)
  const requests = createMappingRequests({
    want,
    context,
    retry,
    publisher,
    wakeup,
    activeEntry: () => activeMapping()?.granted().entry,
    disturbed: () => wakeup.wake(state.kind === 'active' ? 'recheck' : 'rescan')
  })
  let reported = ''

  /** The life of a mapping: discover, map, keep, release. */
  async function run(call: CallOptions, shutdown: ShutdownScope): Promise<void> {
    void requests.prepare(call)
    try {
      while (!call.signal.aborted) {
        const granted = await map(call, shutdown)
        await keep(granted, call, shutdown)
      }
    } catch (error) {
      if (!call.signal.aborted) host.log.info(`a mapping was given up: ${printable(String(error))}`)
    }
    await activeMapping()?.release(shutdown)
    state = { kind: 'idle' }
    await requests.end(shutdown)
    await context.mappingOwners.drop(want)
  }

  /** Asks the mappers that were discovered, in rank order, until one has granted a mapping. Rejects with the signal's
   * reason. */
  async function map(call: CallOptions, shutdown: ShutdownScope): Promise<GrantedMapping> {
    for (;;) {
      call.signal.throwIfAborted()
      const step = nextStep()
      if (step.do === 'keep') return step.granted
      if (step.do === 'ask') {
        state = { kind: 'requesting' }
        requests.start(step.choice, call, shutdown)
        continue
      }
      state = { kind: step.as }
      if (step.as === 'idle') {
        requests.remember()
        bus.emit('reportChanged', undefined)
        reportFailureOnce()
      }
      await wakeup.wait(step.ms, call)
    }
  }

  function nextStep(): Step {
    const granted = requests.take()
    if (granted !== undefined) return { do: 'keep', granted }
    requests.abortEach(isPointless)
    const patienceMs = requests.patienceMs()
    if (patienceMs > 0) return { do: 'wait', as: 'requesting', ms: patienceMs }
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
        else if (progress.mayUse(entry.rank)) return { do: 'ask', choice: { entry, mapper: ability, endpoint } }
      }
    }
    return { do: 'wait', as: 'idle', ms: waitMs }
  }

  /** Whether a mapper belongs to a network that this host has left, or can no longer serve the endpoint. */
  function isPointless({ entry, mapper, endpoint }: Choice): boolean {
    const network = context.network()
    if (![...entry.abilities.values()].some((ability) => ability === mapper) || !isOnPath(mapper, entry, network))
      return true
    return endpointFor(want, mapper, network)?.address !== endpoint.address
  }

  /** Reports that nothing works, once for each new set of reasons, and not while an answer may still come. */
  function reportFailureOnce(): void {
    if (!progress.isPassOver() || requests.isPending()) return
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

  /** Keeps a mapping until it is lost. Rejects with the signal's reason; the mapping is then still to be released. */
  async function keep(granted: GrantedMapping, call: CallOptions, shutdown: ShutdownScope): Promise<void> {
    const { entry, mapper, endpoint, holder } = granted
    const sinceMs = clock.monotonicMs()
    reported = ''
    const mapping = createActiveMapping(granted, {
      context,
      wakeup,
      publisher,
      track: shutdown.track,
      published: listener.changed,
      renewedTooLate: retry.postpone,
      giveBack: (lease) => shutdown.track(requests.giveBack(granted, lease, shutdown)),
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
    state = { kind: 'active', mapping }
    const { kind, why } = await mapping.keep(call)
    state = { kind: 'choosing' }
    listener.changed(undefined)
    // Back off from a gateway that grants very short leases, or one address to several endpoints.
    const isShort = kind === 'lapsed' && clock.monotonicMs() - sinceMs < policy.retry.maxMs
    if (isShort || holder.isSuperseded()) retry.wasUseless(entry, mapper)
    if (kind === 'invalid') return retry.parted(mapper.gateway, endpoint, mapping.askedMs())
    entry.status.failed(why)
    retry.postpone()
  }

  return {
    active: () => activeMapping()?.granted(),
    isOf: ({ protocol, family, port }) =>
      protocol === want.endpoint.protocol && family === want.endpoint.family && port === want.endpoint.port,
    isSettled: () => state.kind === 'active' || state.kind === 'idle',
    wake(why) {
      if (state.kind === 'idle') state = { kind: 'choosing' }
      wakeup.wake(why)
    },
    gatewayForgot(beforeMs) {
      // The restart may have been detected from the reply that granted this very lease.
      if (activeMapping()?.gatewayForgot(beforeMs) === false) return
      retry.gatewayRestarted(beforeMs)
      wakeup.wake('recheck')
    },
    run
  }
}

/** Returns the key of the gateway that holds this endpoint's mapping. */
export const gatewayKeyOf = (endpointMapping: EndpointMapping): string | undefined => {
  const gateway = endpointMapping.active()?.mapper.gateway
  return gateway === undefined || gateway === null ? undefined : gatewayKey(gateway)
}
