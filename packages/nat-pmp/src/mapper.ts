import {
  type CallOptions,
  formatMultiaddr,
  type Gateway,
  isNatError,
  isNeverExternal,
  type Lease,
  type Mapper,
  type MapRequest,
  natError
} from '@postern/interface'
import type { Client } from './client.js'
import type { MappingReply, MappingRequest } from './codec.js'

/** RFC 6886 gives no upper bound. More than a day is a router that counts in another unit, or is never asked again. */
const longestLifetimeSeconds = 24 * 60 * 60
/** An aborted request is undone within the 500 ms that the contract allows. The last wait is as long as that for any answer,
 * so that the next request does not meet an unanswered one (RFC 6886 §3.1). */
const undoWaitsMs = [75, 125, 250]
/** Failures after which the router may have made the mapping all the same. */
const uncertain: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'GRANT_INVALID', 'NETWORK_FAILURE'])

/** The mapper of one gateway: glue between the contract and the client. */
export function createMapper(client: Client, gateway: Gateway): Mapper {
  return {
    kind: 'mapper',
    gateway,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request, call) {
      if (request.endpoint.family !== 4) throw new TypeError('NAT-PMP maps IPv4 only')
      return client.inTurn(async () => {
        try {
          return await acquire(client, request, request.suggestedExternalPort, call)
        } catch (error) {
          // It may have been carried out although nobody will use it: whatever it made is taken back.
          if (call.signal.aborted || (isNatError(error) && uncertain.has(error.code))) await undo(client, request)
          throw error
        }
      }, call)
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
  const granted = await askFor(client, asked, request.endpoint.address, call)
  if (granted.externalPort === 0 || granted.lifetimeSeconds === 0) {
    throw natError(
      'GRANT_INVALID',
      `the router granted port ${granted.externalPort} for ${granted.lifetimeSeconds} s to a request for ${asked.lifetimeSeconds} s`
    )
  }
  const address = client.freshAddress() ?? (await client.externalAddress(call))
  if (isNeverExternal(address))
    throw natError('GRANT_INVALID', `the router says that its external address is ${address}`)
  return {
    addresses: [formatMultiaddr(address, asked.protocol, granted.externalPort)],
    // What is beyond the request is not relied on: the router may count in another unit, or by another clock.
    lifetimeMs: Math.min(granted.lifetimeSeconds, asked.lifetimeSeconds) * 1000,
    // RFC 6886 §3.3: the port to suggest is the one that was assigned.
    renew: (again) => client.inTurn(() => acquire(client, request, granted.externalPort, again), again),
    release: released(client, request)
  }
}

/** RouterOS refuses to choose a port itself. The internal one is as good as any. */
async function askFor(client: Client, asked: MappingRequest, from: string, call: CallOptions): Promise<MappingReply> {
  try {
    return await client.map(asked, from, call)
  } catch (error) {
    if (asked.suggestedExternalPort !== 0 || !isNatError(error) || error.code !== 'NOT_AUTHORIZED') throw error
    return client.map({ ...asked, suggestedExternalPort: asked.internalPort }, from, call)
  }
}

/** RFC 6886 §3.4: lifetime 0 and external port 0, by internal port and protocol. Deleting what is gone succeeds. */
const deletion = ({ endpoint }: MapRequest): MappingRequest => ({
  protocol: endpoint.protocol,
  internalPort: endpoint.port,
  suggestedExternalPort: 0,
  lifetimeSeconds: 0
})

function released(client: Client, request: MapRequest): Lease['release'] {
  let done = false
  return async (call) => {
    if (done) return
    await client.inTurn(async () => {
      if (done) return
      await client.map(deletion(request), request.endpoint.address, call)
      done = true
    }, call)
  }
}

async function undo(client: Client, request: MapRequest): Promise<void> {
  try {
    const call = { signal: new AbortController().signal }
    await client.map(deletion(request), request.endpoint.address, call, undoWaitsMs)
  } catch {
    // No answer to the deletion either: what there may be lapses by itself.
  }
}
