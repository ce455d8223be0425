import { type CallOptions, type Endpoint, type Lease, type Mapper, printable } from '@postern/interface'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { UncertainMappings } from './uncertain-mappings.js'

/** A mapper that can be asked for a wanted endpoint. */
export interface Choice {
  readonly entry: StrategyEntry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
}

export interface LateGrantsParts {
  readonly context: Context
  readonly uncertainMappings: UncertainMappings
  /** Returns the strategy that made the endpoint's present mapping, if there is one. */
  readonly currentEntry: () => StrategyEntry | undefined
  /** Called when a deletion may have affected the current mapping. */
  readonly disturbed: () => void
}

/** Releases leases that came too late: after the network changed, after another grant, or after the endpoint was
 * removed. A lease of the same external address as a live one may be that very mapping, and is not released then. */
export interface LateGrants {
  /** Releases the lease in the strategy's turn in the queue of the gateway. Does not reject. */
  giveBack(choice: Choice, lease: Lease, shutdown: ShutdownScope): Promise<void>
}

export function createLateGrants(parts: LateGrantsParts): LateGrants {
  const { context, uncertainMappings, currentEntry, disturbed } = parts
  const { host, policy, queues, requests, addressHolders, mappingOwners } = context
  const { log } = host

  async function release(choice: Choice, lease: Lease, shutdown: ShutdownScope): Promise<void> {
    const { entry, mapper, endpoint } = choice
    const remove = (call: CallOptions): Promise<void> =>
      requests.attempt(
        { strategy: entry.name, verb: 'release' },
        (own) => lease.release(own),
        mapper.timeoutMs ?? policy.verbMs,
        call
      )
    const deleteLater = (): void =>
      uncertainMappings.add({ strategy: entry.name, mapper, endpoint, remove, asked: undefined })
    const isHeld = (): boolean => lease.addresses.some(addressHolders.isHeld)
    // The same mapping as a live one. If another strategy made it, the gateway may hold an entry for each of them.
    const keepAsLive = (): void => {
      if (currentEntry() !== entry) deleteLater()
    }
    if (isHeld()) return keepAsLive()
    // Another program of this host holds this mapping.
    if ((await mappingOwners.others(endpoint, lease.addresses)).length > 0) return
    // Another strategy was granted the same mapping meanwhile.
    if (isHeld()) return keepAsLive()
    try {
      await remove(shutdown)
    } catch (error) {
      log.debug(`${entry.name}: a lease that came too late was not released: ${printable(String(error))}`)
      deleteLater()
    }
    disturbed()
  }

  return {
    giveBack(choice, lease, shutdown) {
      const { entry, mapper } = choice
      return queues
        .of(mapper.gateway)
        .run(entry.name, () => release(choice, lease, shutdown))
        .catch(() => undefined)
    }
  }
}
