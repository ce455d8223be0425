import type { Endpoint, Gateway, Mapper, NatError } from '@postern/interface'
import type { Context } from '../context.js'
import { gatewayKey, type StrategyEntry } from '../discovery/discoveries.js'
import { minSpacingMs } from '../lease/renewal-schedule.js'
import { backOffMs } from '../model/policy.js'

/** Decides when each mapper may be asked again for one endpoint. Every "not before" of mapping is here. */
export interface Retry {
  /** Returns the earliest time to ask a mapper (monotonic ms). */
  readyMs(entry: StrategyEntry, mapper: Mapper, endpoint: Endpoint): number
  /** Returns what the mapper of a strategy last failed with; undefined if it has granted something since. */
  errorOf(entry: StrategyEntry): NatError | undefined
  /** A request failed: backs off, honours the gateway's retry-after, and records the error. */
  failed(entry: StrategyEntry, mapper: Mapper, error: NatError): void
  /** A grant was useless: backs off as after a failure, but records no error. */
  wasUseless(entry: StrategyEntry, mapper: Mapper): void
  /** A renewal failed: honours the gateway's retry-after. */
  renewalFailed(entry: StrategyEntry, mapper: Mapper, error: NatError): void
  /** A mapper granted something: clears its error and its delay, and keeps the count of failures. */
  granted(entry: StrategyEntry): void
  /** A mapping was renewed: the next failure of its strategy counts as the first. */
  renewed(entry: StrategyEntry): void
  /** A mapping was lost, or a renewal was in progress when its lease ended. The gateway may have received the request, so
   * the next one waits 4 s (RFC 6887 §11.2.1). */
  postpone(): void
  /** A mapping ended because the network of this host changed. Its gateway still has it, and is not asked for it again
   * within 4 s of the last request, as when a cable was pulled and plugged in again. */
  parted(gateway: Gateway | null, endpoint: Endpoint, askedMs: number): void
  /** The gateway restarted at this time (monotonic ms): earlier failures and requests do not count. */
  gatewayRestarted(atMs: number): void
}

interface Failure {
  readonly mapper: Mapper
  readonly error: NatError | undefined
  readonly count: number
  readonly untilMs: number
}

export function createRetry({ host, policy, bus, gatewayRests }: Context): Retry {
  const { clock, log } = host
  const failures = new Map<StrategyEntry, Failure>()
  let notBeforeMs = 0
  let parting: { readonly gateway: string; readonly address: string; readonly askedMs: number } | undefined

  function backOff(entry: StrategyEntry, mapper: Mapper, error?: NatError): void {
    const count = (failures.get(entry)?.count ?? 0) + 1
    failures.set(entry, { mapper, error, count, untilMs: clock.monotonicMs() + backOffMs(policy.retry, count) })
  }

  function partedMs({ gateway }: Mapper, { address }: Endpoint): number {
    if (parting === undefined || gateway === null) return 0
    return gatewayKey(gateway) === parting.gateway && address === parting.address ? parting.askedMs + minSpacingMs : 0
  }

  const renewalFailed = (entry: StrategyEntry, { gateway }: Mapper, error: NatError): void =>
    gatewayRests.honour(gateway, entry.name, error)

  return {
    readyMs(entry, mapper, endpoint) {
      const failure = failures.get(entry)
      // A newly found mapper has not failed yet.
      const failureMs = failure?.mapper === mapper ? failure.untilMs : 0
      return Math.max(
        failureMs,
        notBeforeMs,
        gatewayRests.untilMs(mapper.gateway, entry.name),
        partedMs(mapper, endpoint)
      )
    },
    errorOf: (entry) => failures.get(entry)?.error,
    failed(entry, mapper, error) {
      backOff(entry, mapper, error)
      renewalFailed(entry, mapper, error)
      entry.status.failed(error)
      bus.emit('reportChanged', undefined)
      log.debug(`${entry.name}: ${error.code}: ${error.message}`)
    },
    wasUseless: backOff,
    renewalFailed,
    granted(entry) {
      const failure = failures.get(entry)
      if (failure !== undefined) failures.set(entry, { ...failure, error: undefined, untilMs: 0 })
    },
    renewed(entry) {
      failures.delete(entry)
    },
    postpone() {
      notBeforeMs = clock.monotonicMs() + minSpacingMs
    },
    parted(gateway, { address }, askedMs) {
      parting = gateway === null ? undefined : { gateway: gatewayKey(gateway), address, askedMs }
    },
    gatewayRestarted(atMs) {
      failures.clear()
      if (parting !== undefined && parting.askedMs < atMs) parting = undefined
    }
  }
}
