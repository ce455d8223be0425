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
import { isUndone, type Undo, undoAtOnce, waitsFor } from '@postern/net'
import type { Client } from './client.js'
import type { MappingReply, MappingRequest } from './codec.js'

/** The maximum lifetime that is requested, in seconds. RFC 6886 has no upper limit, but a mapping should not outlast
 * its program for long. */
const maxLifetimeSeconds = 24 * 60 * 60
/** A lifetime in seconds that is short enough for every known router. */
const shortLifetimeSeconds = 60 * 60
/** The refusals after which a request for another port or a shorter lifetime may succeed. */
const refusals: ReadonlySet<string> = new Set(['NOT_AUTHORIZED', 'OUT_OF_RESOURCES', 'GATEWAY_FAULT'])
/** How long one call may take, in ms: two requests and their deletion, each with the answer time of a slow router. */
const timeoutMs = 75_000
/** The errors after which the router may have created the mapping nevertheless. */
const uncertain: ReadonlySet<string> = new Set([
  'NO_REPLY',
  'MALFORMED_REPLY',
  'GRANT_INVALID',
  'NETWORK_FAILURE',
  'UNTRUSTED_REPLY'
])

/** Creates the mapper of one gateway: connects the contract with the client. Calls `granted` for each grant that is not
 * a renewal. */
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
          const lease = await acquire(client, request, waysOf(request), call)
          granted()
          return lease
        } catch (error) {
          // The router may have created the mapping although the request failed, so delete it.
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

async function acquire(
  client: Client,
  request: MapRequest,
  ways: readonly MappingRequest[],
  call: CallOptions
): Promise<Lease> {
  const { asked, granted } = await askFor(client, ways, request.endpoint.address, call)
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
    // Do not rely on more than was requested: the router may use another unit, or its clock may differ.
    lifetimeMs: Math.min(granted.lifetimeSeconds, asked.lifetimeSeconds) * 1000,
    ...(caveat === undefined ? {} : { caveat }),
    // RFC 6886 §3.3: suggest the port that was assigned.
    renew: (again) =>
      client.inTurn(
        () => acquire(client, request, [{ ...asked, suggestedExternalPort: granted.externalPort }], again),
        again
      ),
    release: released(client, request)
  }
}

/** Returns the variants of a request, in the order to try them after a refusal: the request itself; another port, since
 * the suggested one may be taken or forbidden; a lifetime that is short enough for any router. Port 0 lets the router
 * choose; RouterOS refuses that, so the alternative to 0 is the internal port. */
function waysOf({ endpoint, suggestedExternalPort, lifetimeMs }: MapRequest): readonly MappingRequest[] {
  const lifetimeSeconds = Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), maxLifetimeSeconds)
  const first = { protocol: endpoint.protocol, internalPort: endpoint.port, suggestedExternalPort, lifetimeSeconds }
  const otherPort = { ...first, suggestedExternalPort: suggestedExternalPort === 0 ? endpoint.port : 0 }
  const shorter = { ...first, lifetimeSeconds: shortLifetimeSeconds }
  return [first, otherPort, ...(lifetimeSeconds > shortLifetimeSeconds ? [shorter] : [])]
}

interface Grant {
  readonly asked: MappingRequest
  readonly granted: MappingReply
}

/** Tries one request after the other until one is granted. Rejects with the first refusal. */
async function askFor(
  client: Client,
  ways: readonly MappingRequest[],
  from: string,
  call: CallOptions
): Promise<Grant> {
  let refusal: unknown
  for (const asked of ways) {
    try {
      return { asked, granted: await client.map(asked, from, call) }
    } catch (error) {
      if (!isNatError(error) || !refusals.has(error.code)) throw error
      refusal ??= error
    }
  }
  throw refusal
}

/** Returns the request that deletes a mapping (RFC 6886 §3.4): lifetime 0 and external port 0. Deleting a missing
 * mapping succeeds. */
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
