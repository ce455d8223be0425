import {
  type CallOptions,
  formatMultiaddr,
  type Gateway,
  type Lease,
  type Mapper,
  type MapRequest,
  natError
} from '@postern/interface'
import type { Client } from './client.js'
import type { MappingRequest } from './codec.js'

/** RFC 6886 gives no upper bound. More than a day is a router that counts in another unit, or is never asked again. */
const longestLifetimeSeconds = 24 * 60 * 60
/** An aborted request is undone within the 500 ms that the contract allows. */
const undoWaitsMs = [100, 150, 200]

/** The mapper of one gateway: glue between the contract and the client. */
export function createMapper(client: Client, gateway: Gateway): Mapper {
  return {
    kind: 'mapper',
    gateway,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request, { signal }) {
      signal.throwIfAborted()
      try {
        return await acquire(client, request, request.suggestedExternalPort, { signal })
      } catch (error) {
        // The request may have left, and its answer be on the way: whatever it made is taken back.
        if (signal.aborted) await undo(client, request)
        throw error
      }
    }
  }
}

async function acquire(client: Client, request: MapRequest, suggested: number, call: CallOptions): Promise<Lease> {
  const asked: MappingRequest = {
    protocol: request.endpoint.protocol,
    internalPort: request.endpoint.port,
    suggestedExternalPort: suggested,
    lifetimeSeconds: Math.min(Math.max(1, Math.ceil(request.lifetimeMs / 1000)), longestLifetimeSeconds)
  }
  const granted = await client.map(asked, call)
  if (granted.externalPort === 0 || granted.lifetimeSeconds === 0) {
    throw natError(
      'GRANT_INVALID',
      `the router granted port ${granted.externalPort} for ${granted.lifetimeSeconds} s to a request for ${asked.lifetimeSeconds} s`
    )
  }
  const address = client.freshAddress() ?? (await client.externalAddress(call))
  return {
    addresses: [formatMultiaddr(address, asked.protocol, granted.externalPort)],
    lifetimeMs: Math.min(granted.lifetimeSeconds, longestLifetimeSeconds) * 1000,
    // RFC 6886 §3.3: the port to suggest is the one that was assigned.
    renew: (again) => acquire(client, request, granted.externalPort, again),
    release: released(client, asked)
  }
}

/** RFC 6886 §3.4: lifetime 0 and external port 0, by internal port and protocol. Deleting what is gone succeeds. */
const deletion = (asked: Pick<MappingRequest, 'protocol' | 'internalPort'>): MappingRequest => ({
  protocol: asked.protocol,
  internalPort: asked.internalPort,
  suggestedExternalPort: 0,
  lifetimeSeconds: 0
})

function released(client: Client, asked: MappingRequest): Lease['release'] {
  let done = false
  return async (call) => {
    if (done) return
    await client.map(deletion(asked), call)
    done = true
  }
}

async function undo(client: Client, { endpoint }: MapRequest): Promise<void> {
  const asked = { protocol: endpoint.protocol, internalPort: endpoint.port }
  try {
    await client.map(deletion(asked), { signal: new AbortController().signal }, undoWaitsMs)
  } catch {
    // No answer to the deletion either: what there may be lapses by itself.
  }
}
