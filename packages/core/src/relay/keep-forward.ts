import {
  anySignal,
  type CallOptions,
  type Endpoint,
  type Forwarder,
  type ForwardLease,
  type NatError
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { WantedEndpoint } from '../discovery/endpoints.js'
import { keepLease, type LeaseOwner } from '../lease/keep-lease.js'
import type { ForwardPublisher } from './publish-forward.js'

/** A port of another host that is held for an endpoint. */
export interface Forward {
  readonly entry: StrategyEntry
  readonly forwarder: Forwarder
  readonly want: WantedEndpoint
  /** The endpoint that connections are carried to. */
  readonly endpoint: Endpoint
  lease: ForwardLease
  readonly wakeup: Wakeup
  /** Aborts when the port is not needed any more. */
  readonly controller: AbortController
}

/** The codes of a renewal that show that the port does not lead here any more. */
const lostCodes: ReadonlySet<string> = new Set(['MAPPING_LOST', 'CONFLICT', 'GRANT_INVALID', 'REFUSED'])

/** Keeps a forward until it is lost. Resolves with the reason. Rejects with the reason of `call`, or if the forward is not
 * needed any more. */
export async function keepForward(
  forward: Forward,
  { host, policy, bus, requests }: Context,
  publisher: ForwardPublisher,
  { signal }: CallOptions,
  shutdown: ShutdownScope
): Promise<NatError> {
  const { clock, random } = host
  const { entry, forwarder, wakeup, controller } = forward
  let listening = new AbortController()
  let isLost = false
  let checkedMs = clock.monotonicMs()
  let renewal: Promise<ForwardLease> | undefined

  function listen({ ended }: ForwardLease): void {
    const wake = (): void => wakeup.wake('rescan')
    // A lease and its successors may share one signal.
    listening.abort()
    listening = new AbortController()
    if (ended.aborted) wake()
    else ended.addEventListener('abort', wake, { once: true, signal: listening.signal })
  }

  const owner: LeaseOwner<ForwardLease> = {
    polling: () => ({ pollMs: policy.recheckIntervalMs, lastContactMs: checkedMs }),
    isForgotten: () => isLost,
    invalidReason: () => (forward.lease.ended.aborted ? asNatError(forward.lease.ended.reason) : undefined),
    renew(lease, cancel) {
      checkedMs = clock.monotonicMs()
      const limitMs = forwarder.timeoutMs ?? policy.verbMs
      const subject = { strategy: entry.name, verb: 'renew' } as const
      renewal = requests.attempt(subject, (bounded) => lease.renew(bounded), limitMs, cancel)
      return renewal
    },
    onRenewed(lease, before) {
      renewal = undefined
      entry.status.succeeded()
      forward.lease = lease
      publisher.publish(forward, before)
      listen(lease)
    },
    onFailed(error) {
      isLost = lostCodes.has(error.code)
      entry.status.failed(error)
      bus.emit('reportChanged', undefined)
    }
  }

  listen(forward.lease)
  try {
    const call = { signal: anySignal([signal, controller.signal]) }
    const { why } = await keepLease(forward.lease, owner, { clock, random, wakeup }, call)
    return why
  } finally {
    listening.abort()
    // A renewal that is granted from now on has no owner.
    const releaseLate = async (late: ForwardLease): Promise<void> => {
      await publisher.release(entry, late, shutdown)
    }
    if (renewal !== undefined) shutdown.track(renewal.then(releaseLate, () => undefined))
  }
}
