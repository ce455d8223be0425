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
/** No router refuses a lease as short as this one, in seconds, for its length. */
const shortLifetimeSeconds = 60 * 60
/** Refusals that another port or a shorter lease may not meet. */
const refusals: ReadonlySet<string> = new Set(['NOT_AUTHORIZED', 'OUT_OF_RESOURCES', 'GATEWAY_FAULT'])
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
          const lease = await acquire(client, request, waysOf(request), call)
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
    // What is beyond the request is not relied on: the router may count in another unit, or by another clock.
    lifetimeMs: Math.min(granted.lifetimeSeconds, asked.lifetimeSeconds) * 1000,
    ...(caveat === undefined ? {} : { caveat }),
    // RFC 6886 §3.3: the port to suggest is the one that was assigned.
    renew: (again) =>
      client.inTurn(
        () => acquire(client, request, [{ ...asked, suggestedExternalPort: granted.externalPort }], again),
        again
      ),
    release: released(client, request)
  }
}

/** The request, and what to ask for where that is refused: another port than one that is taken or not allowed, and a lease that
 * is short enough for any router. RouterOS refuses to choose a port itself; the internal one is as good as any. */
function waysOf({ endpoint, suggestedExternalPort, lifetimeMs }: MapRequest): readonly MappingRequest[] {
  const lifetimeSeconds = Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), longestLifetimeSeconds)
  const first = { protocol: endpoint.protocol, internalPort: endpoint.port, suggestedExternalPort, lifetimeSeconds }
  const otherPort = { ...first, suggestedExternalPort: suggestedExternalPort === 0 ? endpoint.port : 0 }
  const shorter = { ...first, lifetimeSeconds: shortLifetimeSeconds }
  return [first, otherPort, ...(lifetimeSeconds > shortLifetimeSeconds ? [shorter] : [])]
}

interface Grant {
  readonly asked: MappingRequest
  readonly granted: MappingReply
}

/** Asks in one way after the other until one is granted. Rejects with the first refusal. */
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
