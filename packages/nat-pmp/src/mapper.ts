import {
  type CallOptions,
  type Clock,
  type ErrorCode,
  formatMultiaddr,
  type Gateway,
  isNatError,
  isNeverExternal,
  type Lease,
  type Mapper,
  type MapRequest,
  type NatError,
  natError
} from '@postern/interface'
import { type Undo, isUndone, undoAtOnce, waitsFor } from '@postern/net'
import type { Client } from './client.js'
import type { MappingReply, MappingRequest } from './codec.js'

/** RFC 6886 gives no upper bound. More than a day is a router that counts in another unit, or is never asked again. */
const longestLifetimeSeconds = 24 * 60 * 60
/** What a verb may take: two requests and undoing them, each as long as a slow router takes. */
const timeoutMs = 75_000
/** Failures after which the router may have made the mapping all the same. */
const uncertain: ReadonlySet<string> = new Set([
  'NO_REPLY',
  'MALFORMED_REPLY',
  'GRANT_INVALID',
  'NETWORK_FAILURE',
  'UNTRUSTED_REPLY'
])

/** The mapper of one gateway: glue between the contract and the client. Tells each first grant of a mapping. */
export function createMapper(client: Client, gateway: Gateway, clock: Clock, granted: () => void): Mapper {
  return {
    kind: 'mapper',
    gateway,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request, call) {
      if (request.endpoint.family !== 4) throw new TypeError('NAT-PMP maps IPv4 only')
      return client.inTurn(async () => {
        try {
          const lease = await acquire(client, request, request.suggestedExternalPort, call)
          granted()
          return lease
        } catch (error) {
          // It may have been carried out although nothing will use it: what it made is deleted.
          if (call.signal.aborted) await undoAtOnce(undoing(client, request), clock)
          else if (
            isNatError(error) &&
            uncertain.has(error.code) &&
            !(await isUndone(undoing(client, request), call, waitsFor(client.times.undoMs())))
          )
            throw remaining(error)
          throw error
        }
      }, call)
    },
    undo: (request, call) =>
      client.inTurn(async () => {
        await client.map(deletion(request), request.endpoint.address, call)
      }, call),
    timeoutMs
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
  const { address, caveat } = client.freshAddress() ?? (await client.externalAddress(call))
  if (caveat === undefined && isNeverExternal(address))
    throw natError('GRANT_INVALID', `the router says that its external address is ${address}`)
  return {
    addresses: [formatMultiaddr(address, asked.protocol, granted.externalPort)],
    // What is beyond the request is not relied on: the router may count in another unit, or by another clock.
    lifetimeMs: Math.min(granted.lifetimeSeconds, asked.lifetimeSeconds) * 1000,
    ...(caveat === undefined ? {} : { caveat }),
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

const undoing =
  (client: Client, request: MapRequest): Undo =>
  (call, waits) =>
    client.map(deletion(request), request.endpoint.address, call, waits)

const remaining = (error: NatError & { readonly code: ErrorCode }): NatError =>
  natError(error.code, error.message, { cause: error, mayRemain: true })
