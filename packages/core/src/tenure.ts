import { type CallOptions, isWildcard, type Lease, type NatError, natError, printable } from '@postern/interface'
import { asNatError, attempt } from './attempt.js'
import type { Bell } from './bell.js'
import type { Closing, Context } from './context.js'
import type { Desk } from './desks.js'
import { type Ending, keep } from './keeper.js'
import type { Owner } from './owners.js'
import { checkGrant, type Grant, type Held, type Publisher } from './publisher.js'
import { isOnPath, isOurs } from './wants.js'

/** One mapping, from its grant to its end. */
export interface Tenure {
  readonly held: () => Held
  /** When the gateway may last have granted it, on the monotonic clock: at the last answer, or at the end of a renewal
   * that got none. */
  readonly askedMs: () => number
  /** Keeps the lease alive. Resolves with how it ended, and then it is withdrawn. Rejects with the signal's reason. */
  keep(call: CallOptions): Promise<Ending>
  /** The gateway is known to have forgotten what it granted before this moment. False if this is newer. */
  gatewayForgot(beforeMs: number): boolean
  /** Gives it back, if nobody else holds the same mapping. */
  release(last: CallOptions): Promise<void>
}

export interface TenureParts {
  readonly context: Context
  readonly bell: Bell
  readonly publisher: Publisher
  /** The gateway has answered, or failed to. */
  readonly answered: (error?: NatError) => void
  /** It was being asked until now, although the lease has ended. */
  readonly askedLast: () => void
  /** A lease that nobody waits for any more. */
  readonly giveBack: (lease: Lease) => void
  readonly track: Closing['track']
}

/** Publishes what was granted. */
export function createTenure(first: Held, parts: TenureParts): Tenure {
  const { context, bell, publisher, answered, askedLast, giveBack, track } = parts
  const { host, policy, desks, ledger, memory, doubts, claims } = context
  const { clock } = host
  const { entry, mapper, holder } = first
  const limitMs = mapper.timeoutMs ?? policy.verbMs
  /** Asked for each time: one that has not been used for long is forgotten. */
  const desk = (): Desk => desks.of(mapper.gateway)
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
    // A router that was named, or is none, need not be the next hop: its address may well lie beyond that.
    const { external } = next
    if (external.family === 4 && !isWildcard(external.address) && mapper.gateway !== null && entry.named === undefined)
      doubts.examine(external.address)
  }

  function take(lease: Lease): Lease {
    latest = checkGrant(lease, latest)
    publisher.take(latest.lease, holder)
    return latest.lease
  }

  /** A renewal that came when nobody waited for it any more: the same mapping, and the lease before is dead. */
  function adopt(lease: Lease): void {
    if (phase === 'over') return giveBack(lease)
    try {
      // What is about to be released is this one, then.
      if (phase === 'leaving') latest = checkGrant(lease, latest)
      else successor = take(lease)
      bell.ring('look')
    } catch (error) {
      host.log.debug(`${entry.name}: ${asNatError(error).message}`)
    }
  }

  /** A mapper of an earlier network tells nobody any more what its answers reveal, so each of its leases is asked about. */
  function isShared(): boolean {
    for (const ability of entry.abilities.values()) if (ability === mapper) return true
    return false
  }

  const isHeld = (): boolean => phase === 'held'

  function renew(lease: Lease, call: CallOptions): Promise<Lease> {
    // Claimed before the answer, so that one lease of a gateway is asked about at a poll, and not each of them: the one
    // that was granted longest ago. Trying again what has failed is no poll, or nobody else would ever have a turn.
    if (isShared() && !isFailing) desk().heardMs.set(entry.name, clock.monotonicMs())
    return desk().serve(entry.name, async () => {
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
  function spoiled(): NatError | undefined {
    if (holder.isForfeit()) return natError('MAPPING_LOST', 'the mapping points to another endpoint now')
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
  track(claims.others(mapped, granted.addresses).then(tellOwners))
  // What was just granted need not be looked at.
  bell.silence()

  return {
    held: () => held,
    askedMs: () => askedMs,
    gatewayForgot(beforeMs) {
      if (grantedMs >= beforeMs) return false
      forgotten = true
      return true
    },
    async keep(call) {
      const ending = await keep(
        first.lease,
        {
          clock,
          random: host.random,
          bell,
          pollMs: mapper.gateway === null ? Number.POSITIVE_INFINITY : policy.pollMs,
          heardMs: () => (isShared() ? (desk().heardMs.get(entry.name) ?? 0) : 0),
          spoiled,
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
      // It lapsed, or is worth nothing here: nobody can be asked to delete it.
      phase = 'over'
      entry.leases--
      publisher.withdraw(held)
      claims.holds(held.endpoint, [])
      publisher.tell('lost', held, ending.why)
      return ending
    },
    async release(last) {
      if (phase !== 'held') return
      phase = 'leaving'
      entry.leases--
      // One that nobody has made known yet.
      if (successor !== undefined) {
        const next = { ...held, ...latest }
        publisher.withdraw(held, next)
        held = next
      }
      try {
        if (!publisher.withdraw(held) || holder.isForfeit()) return
        const released = await desk().serve(entry.name, async () => {
          phase = 'over'
          const { lease } = latest
          // Somebody has mapped the same again while this waited: releasing it would end what is wanted.
          if (lease.addresses.some(ledger.isHeld)) return false
          // Another program of this host has the same mapping: the last one deletes it.
          const owners = await claims.leave(held.endpoint, lease.addresses)
          publisher.tellOwners(held, owners)
          if (owners.length > 0) return false
          await attempt((call) => lease.release(call), limitMs, clock, last)
          memory.forget(held.memory)
          return true
        })
        if (released) publisher.tell('released', held)
      } catch (error) {
        // It stays in memory too: the next run deletes it, or it lapses.
        publisher.tell('failed', held, asNatError(error))
        host.log.info(`a mapping was not released and will lapse: ${printable(String(error))}`)
      } finally {
        phase = 'over'
      }
    }
  }
}
