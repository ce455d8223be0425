import type { CallOptions, Lease } from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Context } from '../context.js'
import { isOnPath, isOurs } from '../discovery/endpoints.js'
import type { WantedEndpoints } from '../discovery/wanted-endpoints.js'
import { keyBytes } from '../memory/mapping-memory.js'
import { isNote } from '../memory/router-quirks.js'

/** The lifetime to request for a mapping that is taken over only to be deleted (ms). */
const momentMs = 120_000

/**
 * Deletes mappings that an earlier run left and that are no longer wanted. Each is requested again with its own key
 * and port, and released. What cannot be deleted expires.
 */
export async function deleteStale(context: Context, wanted: WantedEndpoints, { signal }: CallOptions): Promise<void> {
  const { host, memory: memories, discoveries, queues, requests, policy, network } = context
  for (const left of memories.all()) {
    signal.throwIfAborted()
    if (wanted.includes(left.endpoint) || isNote(left)) continue
    // Another program of this host uses it now.
    if ((await context.mappingOwners.others(left.endpoint)).length > 0) continue
    if (left.externalPort === null || (left.expiresAt !== null && left.expiresAt <= host.clock.wallMs())) {
      memories.forget(left)
      continue
    }
    const entry = discoveries.entries.find(({ name }) => name === left.strategy)
    const mapper = [...(entry?.abilities.values() ?? [])].find(
      (ability) =>
        ability.kind === 'mapper' &&
        (ability.gateway?.address ?? '') === left.gateway.address &&
        // The kernel may not have known the hardware address yet when it was noted.
        (left.gateway.mac === null || (ability.gateway?.mac ?? left.gateway.mac) === left.gateway.mac) &&
        ability.family === left.endpoint.family
    )
    if (entry === undefined || mapper?.kind !== 'mapper' || !isOnPath(mapper, entry, network())) continue
    if (!isOurs(left.endpoint.address, network())) continue
    const limitMs = mapper.timeoutMs ?? policy.verbMs
    const request = {
      endpoint: left.endpoint,
      suggestedExternalPort: left.externalPort,
      lifetimeMs: momentMs,
      key: keyBytes(left)
    }
    const release = (lease: Lease): Promise<void> =>
      requests.attempt({ strategy: entry.name, verb: 'release' }, (call) => lease.release(call), limitMs, { signal })
    try {
      const deleted = await queues.of(mapper.gateway).run(entry.name, async () => {
        // It may have become wanted while this waited in the queue. Then it is mapped already, and must stay.
        if (wanted.includes(left.endpoint) || (await context.mappingOwners.others(left.endpoint)).length > 0)
          return false
        const late = (lease: Lease): void => void release(lease).catch(() => undefined)
        const map = (call: CallOptions): Promise<Lease> => mapper.map(request, call)
        const { undo } = mapper
        try {
          await release(await requests.attempt({ strategy: entry.name, verb: 'map' }, map, limitMs, { signal }, late))
        } catch (error) {
          signal.throwIfAborted()
          // A router that refuses to grant it again may still delete it.
          if (undo === undefined) throw error
          const subject = { strategy: entry.name, verb: 'undo' } as const
          await requests.attempt(subject, (call) => undo(request, call), policy.undoMs, { signal })
        }
        return true
      })
      if (!deleted) continue
      memories.forget(left)
      host.log.info(`${entry.name}: deleted a mapping of port ${left.externalPort} that an earlier run left`)
    } catch (error) {
      signal.throwIfAborted()
      host.log.debug(`${entry.name}: a mapping that an earlier run left stays: ${asNatError(error).message}`)
    }
  }
}
