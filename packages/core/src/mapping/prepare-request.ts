import { type CallOptions, hasNextHop, isWildcard, type MapRequest } from '@postern/interface'
import type { Context } from '../context.js'
import { isLoopback, ownPort, primaryGateway, type WantedEndpoint } from '../discovery/endpoints.js'
import { keyBytes } from '../memory/mapping-memory.js'
import type { Memory } from '../memory/store.js'
import { agreeOn } from '../owners/mapping-owners.js'
import type { Choice } from './late-grants.js'
import type { UncertainMappings } from './uncertain-mappings.js'

/** What precedes a request: the stored key and port of the endpoint at this gateway. */
export interface Preparation {
  /** Agrees with other programs on the key for the default gateway while the routers are looked for: it takes many operations on
   * the disk. Not for a router behind the next hop. Rejects with the signal's reason. */
  agreeEarly(call: CallOptions): Promise<void>
  /** Stores the key before the request is sent, so that the next run finds the mapping if this one is killed. Resolves
   * with the memory. Rejects with the signal's reason. */
  recall(choice: Choice, call: CallOptions): Promise<Memory>
  /** Returns the request that follows from a memory. */
  requestFor(choice: Choice, remembered: Memory): MapRequest
}

/** Delay of the early agreement after the start (ms): the first requests have left by then. */
const earlyAfterMs = 2

export function createPreparation(
  { host, network, discoveries, memory, mappingOwners }: Context,
  want: WantedEndpoint,
  uncertainMappings: Pick<UncertainMappings, 'note'>
): Preparation {
  function requestFor({ endpoint, entry, mapper }: Choice, remembered: Memory): MapRequest {
    const quirks = memory.quirks(mapper.gateway, entry.name)
    return {
      endpoint,
      suggestedExternalPort: portToAsk(want, remembered) ?? ownPort(endpoint.port),
      lifetimeMs: want.lifetimeMs,
      key: keyBytes(remembered),
      ...(quirks.length === 0 ? {} : { quirks })
    }
  }

  return {
    requestFor,
    async agreeEarly(call) {
      if (!mappingOwners.isShared || want.origin !== undefined) return
      await host.clock.sleep(earlyAfterMs, call)
      const { family } = want.endpoint
      const gateway = primaryGateway(network(), family)
      const mayMap = discoveries.entries.some(({ kind }) => kind === null || kind === 'mapper')
      if (!mayMap || gateway === undefined || !hasNextHop(gateway)) return
      const address = isWildcard(want.endpoint.address) ? gateway.localAddress : want.endpoint.address
      const endpoint = { ...want.endpoint, address }
      if (isLoopback(endpoint)) return
      mappingOwners.agreeEarly(want, endpoint, gateway.address, memory.keyFor(gateway, endpoint))
    },
    async recall(choice, call) {
      const { entry, mapper, endpoint } = choice
      const known = await memory.recall(mapper.gateway, endpoint, call)
      const agreed = await agreeOn(known, { mappingOwners, memories: memory, want }, call)
      if (agreed.externalPort !== null) return agreed
      // Store the port as well: the next run may have another port, and would not know of this mapping.
      const { suggestedExternalPort: port, lifetimeMs } = requestFor(choice, agreed)
      uncertainMappings.note(entry.name, { memory: agreed, port, lifetimeMs })
      // Save before queueing. Otherwise each of many requests would, in its turn, wait for a file with all of them.
      await memory.saved(call)
      return agreed
    }
  }
}

/** Returns the remembered port, so that an existing mapping is reused, unless the application now names another one. */
const portToAsk = ({ externalPort }: WantedEndpoint, remembered: Memory): number | undefined =>
  externalPort === undefined || remembered.wantedPort === externalPort
    ? (remembered.externalPort ?? externalPort)
    : externalPort
