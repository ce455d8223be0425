import { type CallOptions, isWildcard, type Lease, type NatError, natError, printable } from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import { isOnPath, isOurs } from '../discovery/endpoints.js'
import type { GatewayQueue } from '../discovery/gateway-queues.js'
import { type Ending, keepLease, type LeaseOwner } from '../lease/keep-lease.js'
import type { Owner } from '../model/events.js'
import { checkGrant, type Grant } from './check-grant.js'
import type { GrantedMapping, Publisher } from './publish-mapping.js'

/** One mapping, from its grant to its end. */
export interface ActiveMapping {
  /** Returns the mapping with its present lease. */
  readonly granted: () => GrantedMapping
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
  /** Called before the mapping is published, also if it was published before with another lease. */
  readonly published: (mapping: GrantedMapping) => void
  /** Called when the gateway has answered, or failed to. */
  readonly answered: (error?: NatError) => void
  /** Called when a renewal was still in progress when the lease ended. */
  readonly renewedTooLate: () => void
  /** Releases a lease that came too late. */
  readonly giveBack: (lease: Lease) => void
  readonly track: ShutdownScope['track']
}

/** Publishes a granted mapping, and returns its handle. */
export function createActiveMapping(first: GrantedMapping, parts: ActiveMappingParts): ActiveMapping {
  const { context, wakeup, publisher, answered, renewedTooLate, giveBack, track } = parts
  const { host, bus, policy, queues, requests, addressHolders, memory, claimChecks, mappingOwners } = context
  const { clock, random } = host
  const { entry, mapper, holder } = first
  const limitMs = mapper.timeoutMs ?? policy.verbMs
  /** Looked up each time: a queue that was unused for long is forgotten. */
  const queue = (): GatewayQueue => queues.of(mapper.gateway)
  /** `active`: announced and renewed. `releasing`: withdrawn, and to be deleted in its turn. `ended`: nothing is left to
   * release. */
  let state: 'active' | 'releasing' | 'ended' = 'active'
  /** What is announced, and the grant that is to be released. They differ while a renewal is not published yet. */
  let published = first
  let latest: Grant = first
  let renewal: Promise<Lease> | undefined
  let lateRenewal: Lease | undefined
  let isForgotten = false
  let isFailing = false
  let grantedMs = 0
  let askedMs = 0

  const isActive = (): boolean => state === 'active'

  function publish(next: GrantedMapping, before: GrantedMapping | undefined): void {
    published = next
    grantedMs = clock.monotonicMs()
    askedMs = grantedMs
    parts.published(next)
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
    if (state === 'ended') return giveBack(lease)
    try {
      // This is now the lease to release.
      if (state === 'releasing') latest = checkGrant(lease, latest)
      else lateRenewal = take(lease)
      wakeup.wake('rescan')
    } catch (error) {
      host.log.debug(`${entry.name}: ${asNatError(error).message}`)
    }
  }

  async function renewInTurn(lease: Lease, call: CallOptions): Promise<Lease> {
    if (!isActive()) throw natError('LEASE_LAPSED', 'it lapsed before it could be renewed')
    try {
      const subject = { strategy: entry.name, verb: 'renew' } as const
      const next = await requests.attempt(subject, (bounded) => lease.renew(bounded), limitMs, call, adopt)
      return isActive() ? take(next) : next
    } finally {
      askedMs = clock.monotonicMs()
      if (!isActive()) renewedTooLate()
    }
  }

  /** Whether the mapper belongs to the current network. One of an earlier network no longer reports restarts, so each
   * of its leases is polled separately. */
  function isShared(): boolean {
    for (const ability of entry.abilities.values()) if (ability === mapper) return true
    return false
  }

  let checkedNetwork: ReturnType<Context['network']> | undefined
  let invalidThere: NatError | undefined
  /** Returns why the network of this host makes the mapping useless. Looks once at each network. */
  function invalidReason(): NatError | undefined {
    if (holder.isSuperseded()) return natError('MAPPING_LOST', 'the mapping points to another endpoint now')
    const network = context.network()
    if (network === checkedNetwork) return invalidThere
    checkedNetwork = network
    const { endpoint } = first
    if (!isOurs(endpoint.address, network)) {
      const owner = first.want.origin === undefined ? 'this host' : 'the router before it'
      invalidThere = natError('MAPPING_LOST', `${endpoint.address} is no longer an address of ${owner}`)
    } else if (!isOnPath(mapper, entry, network)) {
      invalidThere = natError('SECONDARY_GATEWAY', 'replies leave through another router now')
    } else invalidThere = undefined
    return invalidThere
  }

  const owner: LeaseOwner = {
    polling: () => ({
      pollMs: mapper.gateway === null ? Number.POSITIVE_INFINITY : policy.recheckIntervalMs,
      lastContactMs: isShared() ? (queue().lastContactMs.get(entry.name) ?? 0) : 0
    }),
    invalidReason,
    isForgotten: () => isForgotten,
    renew(lease, call) {
      // Record the contact before the reply, so that only the oldest lease of this gateway is polled. Retries do not
      // count; otherwise a failing lease would keep the others from being polled.
      if (isShared() && !isFailing) queue().lastContactMs.set(entry.name, clock.monotonicMs())
      renewal = queue().run(entry.name, () => renewInTurn(lease, call))
      return renewal
    },
    lateRenewal() {
      const late = lateRenewal
      lateRenewal = undefined
      return late
    },
    onRenewed() {
      renewal = undefined
      lateRenewal = undefined
      isForgotten = false
      isFailing = false
      answered()
      publish({ ...published, ...latest }, published)
    },
    onFailed(error) {
      renewal = undefined
      isFailing = true
      answered(error)
    }
  }

  publish(first, undefined)
  const tellOwners = (owners: readonly Owner[]): void => {
    if (isActive()) publisher.tellOwners(published, owners)
  }
  track(mappingOwners.others(first.endpoint, first.lease.addresses).then(tellOwners))
  // A fresh grant needs no check.
  wakeup.clear()

  return {
    granted: () => published,
    askedMs: () => askedMs,
    gatewayForgot(beforeMs) {
      if (grantedMs >= beforeMs) return false
      isForgotten = true
      return true
    },
    async keep(call) {
      const ending = await keepLease(first.lease, owner, { clock, random, wakeup }, call)
      // It has expired or is unusable here, so there is nothing to release.
      state = 'ended'
      if (renewal !== undefined) track(renewal.then(giveBack, () => undefined))
      entry.status.leaseRemoved()
      bus.emit('lease', { strategy: entry.name, change: 'lapsed', code: ending.why.code })
      publisher.withdraw(published)
      mappingOwners.holds(published.endpoint, [])
      publisher.tell('lost', published, ending.why)
      return ending
    },
    async release(shutdown) {
      if (state !== 'active') return
      entry.status.leaseRemoved()
      const invalid = first.want.origin === undefined ? undefined : invalidReason()
      const change = invalid === undefined ? 'released' : 'lapsed'
      bus.emit('lease', { strategy: entry.name, change, code: invalid?.code ?? null })
      if (invalid !== undefined) {
        // The router beyond would not take the deletion from the new address of the next hop, and in another network a
        // router with the same address did not grant the mapping.
        state = 'ended'
        publisher.withdraw(published)
        return publisher.tell('lost', published, invalid)
      }
      state = 'releasing'
      // A late renewal that is not published yet.
      if (lateRenewal !== undefined) {
        const next = { ...published, ...latest }
        publisher.withdraw(published, next)
        published = next
      }
      try {
        if (!publisher.withdraw(published) || holder.isSuperseded()) return
        if (await queue().run(entry.name, () => deleteInTurn(shutdown))) publisher.tell('released', published)
      } catch (error) {
        // It stays in the store too: the next run deletes it, or it expires.
        publisher.tell('failed', published, asNatError(error))
        host.log.info(`a mapping was not released and will lapse: ${printable(String(error))}`)
      } finally {
        state = 'ended'
      }
    }
  }

  /** Deletes the mapping at the gateway. Resolves with false if another holder still has it. */
  async function deleteInTurn(shutdown: CallOptions): Promise<boolean> {
    state = 'ended'
    const { lease } = latest
    // The same mapping was granted again while this waited: releasing it would end that one too.
    if (lease.addresses.some(addressHolders.isHeld)) return false
    // Other programs of this host use the same mapping: the last one deletes it.
    const owners = await mappingOwners.leave(published.endpoint, lease.addresses)
    publisher.tellOwners(published, owners)
    if (owners.length > 0) return false
    const subject = { strategy: entry.name, verb: 'release' } as const
    await requests.attempt(subject, (call) => lease.release(call), limitMs, shutdown)
    memory.forget(published.memory)
    return true
  }
}
