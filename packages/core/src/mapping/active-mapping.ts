import { type CallOptions, isWildcard, type Lease, type NatError, natError, printable } from '@postern/interface'
import { asNatError, attempt } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import { isOnPath, isOurs } from '../discovery/endpoints.js'
import type { GatewayQueue } from '../discovery/gateway-queues.js'
import { type Ending, keepLease } from '../lease/keep-lease.js'
import type { Owner } from '../model/events.js'
import { checkGrant, type Grant } from './check-grant.js'
import { type Held, type Publisher } from './publish-mapping.js'

/** One mapping, from its grant to its end. */
export interface ActiveMapping {
  readonly held: () => Held
  /** When the gateway may last have granted it (monotonic ms): at the last reply, or at the end of a renewal without
   * one. */
  readonly askedMs: () => number
  /** Keeps the lease alive. Resolves with how it ended, once it is withdrawn. Rejects with the signal's reason. */
  keep(call: CallOptions): Promise<Ending>
  /** Reports that the gateway lost everything that it granted before this time (monotonic ms). Returns false if this
   * mapping is newer. */
  gatewayForgot(beforeMs: number): boolean
  /** Releases the mapping, unless another holder has the same one. */
  release(shutdown: CallOptions): Promise<void>
}

export interface ActiveMappingParts {
  readonly context: Context
  readonly wakeup: Wakeup
  readonly publisher: Publisher
  /** Called when the gateway has answered, or failed to. */
  readonly answered: (error?: NatError) => void
  /** Called when a renewal was still in progress when the lease ended. */
  readonly askedLast: () => void
  /** Releases a lease that came too late. */
  readonly giveBack: (lease: Lease) => void
  readonly track: ShutdownScope['track']
}

/** Publishes a granted mapping, and returns its handle. */
export function createActiveMapping(first: Held, parts: ActiveMappingParts): ActiveMapping {
  const { context, wakeup, publisher, answered, askedLast, giveBack, track } = parts
  const { host, policy, queues, addressHolders, memory, claimChecks, mappingOwners } = context
  const { clock } = host
  const { entry, mapper, holder } = first
  const limitMs = mapper.timeoutMs ?? policy.verbMs
  /** Looked up each time: a queue that was unused for long is forgotten. */
  const queue = (): GatewayQueue => queues.of(mapper.gateway)
  let held = first
  let latest: Grant = first
  let successor: Lease | undefined
  let phase: 'held' | 'leaving' | 'over' = 'held'
  let forgotten = false
  let isFailing = false
  let grantedMs = 0
  let askedMs = 0

  function publish(next: Held, before: Held | undefined): void {
    held = next
    grantedMs = clock.monotonicMs()
    askedMs = grantedMs
    publisher.publish(next, before)
    // Check the default router only: a named router need not be the next hop, and its address may lie beyond that.
    const { external } = next
    if (external.family === 4 && !isWildcard(external.address) && mapper.gateway !== null && entry.named === undefined)
      claimChecks.examine(external.address)
  }

  function take(lease: Lease): Lease {
    latest = checkGrant(lease, latest)
    publisher.take(latest.lease, holder)
    return latest.lease
  }

  /** Adopts a renewal that completed after its timeout: it is the same mapping, and the lease before is no longer
   * valid. */
  function adopt(lease: Lease): void {
    if (phase === 'over') return giveBack(lease)
    try {
      // This is now the lease to release.
      if (phase === 'leaving') latest = checkGrant(lease, latest)
      else successor = take(lease)
      wakeup.wake('rescan')
    } catch (error) {
      host.log.debug(`${entry.name}: ${asNatError(error).message}`)
    }
  }

  /** Whether the mapper belongs to the current network. One of an earlier network no longer reports restarts, so each
   * of its leases is polled separately. */
  function isShared(): boolean {
    for (const ability of entry.abilities.values()) if (ability === mapper) return true
    return false
  }

  const isHeld = (): boolean => phase === 'held'

  function renew(lease: Lease, call: CallOptions): Promise<Lease> {
    // Record the contact before the reply, so that only the oldest lease of this gateway is polled. Retries do not
    // count; otherwise a failing lease would keep the others from being polled.
    if (isShared() && !isFailing) queue().lastContactMs.set(entry.name, clock.monotonicMs())
    return queue().run(entry.name, async () => {
      if (!isHeld()) throw natError('LEASE_LAPSED', 'it lapsed before it could be renewed')
      try {
        const next = await attempt((bounded) => lease.renew(bounded), limitMs, clock, call, adopt)
        return isHeld() ? take(next) : next
      } finally {
        askedMs = clock.monotonicMs()
        if (!isHeld()) askedLast()
      }
    })
  }

  let looked: ReturnType<Context['network']> | undefined
  let elsewhere: NatError | undefined
  function invalidReason(): NatError | undefined {
    if (holder.isSuperseded()) return natError('MAPPING_LOST', 'the mapping points to another endpoint now')
    const network = context.network()
    if (network === looked) return elsewhere
    looked = network
    const { endpoint } = first
    if (!isOurs(endpoint.address, network)) {
      elsewhere = natError('MAPPING_LOST', `${endpoint.address} is no longer an address of this host`)
    } else if (!isOnPath(mapper, entry, network)) {
      elsewhere = natError('SECONDARY_GATEWAY', 'replies leave through another router now')
    } else elsewhere = undefined
    return elsewhere
  }

  publish(first, undefined)
  const { endpoint: mapped, lease: granted } = first
  const tellOwners = (owners: readonly Owner[]): void => {
    if (isHeld()) publisher.tellOwners(held, owners)
  }
  track(mappingOwners.others(mapped, granted.addresses).then(tellOwners))
  // A fresh grant needs no check.
  wakeup.clear()

  return {
    held: () => held,
    askedMs: () => askedMs,
    gatewayForgot(beforeMs) {
      if (grantedMs >= beforeMs) return false
      forgotten = true
      return true
    },
    async keep(call) {
      const ending = await keepLease(
        first.lease,
        {
          clock,
          random: host.random,
          wakeup,
          pollMs: mapper.gateway === null ? Number.POSITIVE_INFINITY : policy.recheckIntervalMs,
          lastContactMs: () => (isShared() ? (queue().lastContactMs.get(entry.name) ?? 0) : 0),
          invalidReason,
          forgotten: () => forgotten,
          renew,
          successor() {
            const late = successor
            successor = undefined
            return late
          },
          abandon: (renewal) =>
            track(
              renewal.then(
                (lease) => giveBack(lease),
                () => undefined
              )
            ),
          onRenewed() {
            successor = undefined
            forgotten = false
            isFailing = false
            answered()
            publish({ ...held, ...latest }, held)
          },
          onFailed(error) {
            isFailing = true
            answered(error)
          }
        },
        call
      )
      // It has expired or is unusable here, so there is nothing to release.
      phase = 'over'
      entry.status.leaseRemoved()
      publisher.withdraw(held)
      mappingOwners.holds(held.endpoint, [])
      publisher.tell('lost', held, ending.why)
      return ending
    },
    async release(shutdown) {
      if (phase !== 'held') return
      phase = 'leaving'
      entry.status.leaseRemoved()
      // A late renewal that is not published yet.
      if (successor !== undefined) {
        const next = { ...held, ...latest }
        publisher.withdraw(held, next)
        held = next
      }
      try {
        if (!publisher.withdraw(held) || holder.isSuperseded()) return
        const released = await queue().run(entry.name, async () => {
          phase = 'over'
          const { lease } = latest
          // The same mapping was granted again while this waited: releasing it would end that one too.
          if (lease.addresses.some(addressHolders.isHeld)) return false
          // Other programs of this host use the same mapping: the last one deletes it.
          const owners = await mappingOwners.leave(held.endpoint, lease.addresses)
          publisher.tellOwners(held, owners)
          if (owners.length > 0) return false
          await attempt((call) => lease.release(call), limitMs, clock, shutdown)
          memory.forget(held.memory)
          return true
        })
        if (released) publisher.tell('released', held)
      } catch (error) {
        // It stays in the store too: the next run deletes it, or it expires.
        publisher.tell('failed', held, asNatError(error))
        host.log.info(`a mapping was not released and will lapse: ${printable(String(error))}`)
      } finally {
        phase = 'over'
      }
    }
  }
}
