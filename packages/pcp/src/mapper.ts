import {
  type CallOptions,
  type Clock,
  type ErrorCode,
  type Family,
  familyOf,
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
import { anyAddress } from './address-bytes.js'
import type { Client } from './client.js'
import { type MappingReply, type MappingRequest, result } from './codec.js'
import { mappingRefusal } from './results.js'
import { type External, refusals, type Subject, type Way, waysOf } from './ways.js'

/** The maximum lifetime that is requested, in seconds. RFC 6887 §15 lets clients cap the lifetime, and a mapping should
 * not outlast its program for long. */
const maxLifetimeSeconds = 24 * 60 * 60
/** How long one call may take, in ms: two requests and their deletion, each with the answer time of a slow router. */
const timeoutMs = 75_000
/** The length of a mapping nonce (RFC 6887 §11.1). */
const nonceBytes = 12

const untold = natError(
  'EXTERNAL_ADDRESS_UNKNOWN',
  'the router maps the port and does not tell its external address: it names one of the other family'
)

/** The options of {@link createMapper}. */
export interface MapperOptions {
  readonly client: Client
  readonly gateway: Gateway
  readonly family: Family
  readonly clock: Clock
  /** Called when a renewal got another external address. */
  readonly addressChanged: () => void
  /** Called when a mapping was granted that is not a renewal. */
  readonly granted: () => void
}

/** Creates the mapper of one server: connects the contract with the client. */
export function createMapper({ client, gateway, family, clock, addressChanged, granted: told }: MapperOptions): Mapper {
  let lastChange = ''
  /** Reports a change once, although every lease of the server shows it. */
  const noteAddress = (before: External, after: External): void => {
    const change = `${before.address} ${after.address}`
    if (before.address === after.address || change === lastChange) return
    lastChange = change
    addressChanged()
  }

  const lease = (subject: Subject, external: External, lifetimeSeconds: number): Lease => ({
    addresses: [formatMultiaddr(external.address, subject.endpoint.protocol, external.port)],
    // Do not rely on more than was requested: the clock of the server may differ.
    lifetimeMs: Math.min(lifetimeSeconds, subject.lifetimeSeconds) * 1000,
    ...(external.address === anyAddress[subject.endpoint.family] ? { caveat: untold } : {}),
    renew: (call) =>
      client.inTurn(async () => {
        // §11.2.1: suggest the address and port that were assigned.
        const granted = await acquire(client, [{ subject, suggested: external }], call)
        const renewed = externalOf(granted)
        noteAddress(external, renewed)
        return lease(subject, renewed, granted.reply.lifetimeSeconds)
      }, call),
    release: released(client, subject, external)
  })

  return {
    kind: 'mapper',
    gateway,
    family,
    protocols: ['tcp', 'udp'],
    async map(request, call) {
      const subject = subjectOf(request, family)
      return client.inTurn(async () => {
        try {
          const suggested = { address: anyAddress[family], port: request.suggestedExternalPort }
          const granted = await acquire(client, waysOf(subject, suggested), call)
          told()
          return lease(granted.subject, externalOf(granted), granted.reply.lifetimeSeconds)
        } catch (error) {
          // The server may have created the mapping although the request failed, so delete it.
          if (call.signal.aborted) await undoAtOnce(undoing(client, subject), clock)
          else if (
            isUncertain(error) &&
            !(await isUndone(undoing(client, subject), call, waitsFor(client.times.undoMs())))
          )
            throw remaining(error)
          throw error
        }
      }, call)
    },
    undo: (request, call) => client.inTurn(() => undo(client, subjectOf(request, family), call), call),
    timeoutMs
  }
}

function subjectOf({ endpoint, key, lifetimeMs }: MapRequest, family: Family): Subject {
  if (endpoint.family !== family)
    throw new TypeError(`an IPv${endpoint.family} endpoint was given to an IPv${family} mapper`)
  if (key.length < nonceBytes) throw new TypeError(`the key has ${key.length} bytes, and the nonce takes ${nonceBytes}`)
  const lifetimeSeconds = Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), maxLifetimeSeconds)
  return { endpoint, nonce: key.slice(0, nonceBytes), lifetimeSeconds }
}

interface Grant {
  readonly reply: MappingReply
  /** The subject of the request that was granted. */
  readonly subject: Subject
}

/** Tries one request after the other until one is granted. Rejects with the first refusal. */
async function acquire(client: Client, ways: readonly Way[], call: CallOptions): Promise<Grant> {
  let refusal: NatError | undefined
  for (const { subject, suggested } of ways) {
    const asked = requestFor(subject, suggested, subject.lifetimeSeconds)
    const reply = await client.map(asked, subject.endpoint.address, call)
    if (reply.result === result.success) return { reply: checked(reply, asked), subject }
    const refused = mappingRefusal(reply, asked)
    refusal ??= refused
    if (!refusals.has(refused.code)) break
  }
  throw refusal ?? natError('GATEWAY_FAULT', 'there was no request to try')
}

function checked(reply: MappingReply, { lifetimeSeconds }: MappingRequest): MappingReply {
  const { externalAddress, externalPort } = reply
  if (externalPort !== 0 && reply.lifetimeSeconds !== 0 && !isNeverExternal(externalAddress)) return reply
  throw natError(
    'GRANT_INVALID',
    `the router granted ${externalAddress} port ${externalPort} for ${reply.lifetimeSeconds} s to a request for ${lifetimeSeconds} s`
  )
}

/** Returns the external address and port of a grant. An IPv4 port has an IPv4 address outside; a server that names an
 * IPv6 address does not tell it, and the address is `0.0.0.0` then. */
function externalOf({ reply, subject }: Grant): External {
  const { externalAddress: address, externalPort: port } = reply
  const isTold = familyOf(address) === subject.endpoint.family
  return { address: isTold ? address : anyAddress[subject.endpoint.family], port }
}

const requestFor = ({ endpoint, nonce }: Subject, suggested: External, lifetimeSeconds: number): MappingRequest => ({
  protocol: endpoint.protocol,
  internalPort: endpoint.port,
  nonce,
  suggestedExternalPort: suggested.port,
  suggestedExternalAddress: suggested.address,
  lifetimeSeconds
})

/** Returns the request that deletes a mapping (RFC 6887 §15.1 with erratum 3621): port 0, and the all-zeros address of
 * the family of the external address. */
const deletion = (subject: Subject, family: Family): MappingRequest =>
  requestFor(subject, { address: anyAddress[family], port: 0 }, 0)

function released(client: Client, subject: Subject, external: External): Lease['release'] {
  let done = false
  return (call) => {
    if (done) return Promise.resolve()
    return client.inTurn(async () => {
      if (done) return
      const asked = deletion(subject, familyOf(external.address) ?? subject.endpoint.family)
      const reply = await client.map(asked, subject.endpoint.address, call)
      // §15.1: deleting a missing mapping succeeds. miniupnpd answers NO_RESOURCES instead, which has no other meaning
      // for a deletion.
      if (reply.result === result.success || reply.result === result.noResources) done = true
      else throw await lapsing(client, subject, external, mappingRefusal(reply, asked), call)
    }, call)
  }
}

/** Shortens a pinhole that the server refuses to delete, and returns the error for the caller. miniupnpd before 2.3.6
 * forgets the nonce of a pinhole when it is renewed, so no request can delete it. Renewing still works, so the pinhole
 * is renewed for the shortest time that the server allows. The error says when it expires. */
async function lapsing(
  client: Client,
  subject: Subject,
  external: External,
  refused: NatError,
  call: CallOptions
): Promise<NatError> {
  // On IPv4 another nonce means another owner, and a renewal would create a new mapping.
  if (refused.code !== 'NOT_AUTHORIZED' || subject.endpoint.family === 4) return refused
  const reply = await client.map(requestFor(subject, external, 1), subject.endpoint.address, call)
  if (reply.result !== result.success) return refused
  const message = `the router does not delete the mapping; it expires in ${reply.lifetimeSeconds} s`
  const { retryAfterMs } = refused
  return natError('NOT_AUTHORIZED', message, {
    cause: refused,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs })
  })
}

/** Returns whether the server may have created a mapping although the request failed. */
const isUncertain = (error: unknown): error is NatError & { readonly code: ErrorCode } =>
  isNatError(error) && ['NO_REPLY', 'MALFORMED_REPLY', 'GRANT_INVALID'].includes(error.code)

/** Deletes the mapping that a request may have created. Rejects with the refusal of the server, or with `NO_REPLY`. */
async function undo(client: Client, subject: Subject, call: CallOptions, waits?: readonly number[]): Promise<void> {
  const { endpoint } = subject
  const asked = deletion(subject, endpoint.family)
  const reply = await client.map(asked, endpoint.address, call, waits)
  if (reply.result !== result.success && reply.result !== result.noResources) throw mappingRefusal(reply, asked)
}

const undoing =
  (client: Client, subject: Subject): Undo =>
  (call, waits) =>
    undo(client, subject, call, waits)

const remaining = (error: NatError & { readonly code: ErrorCode }): NatError =>
  natError(error.code, error.message, { cause: error, mayRemain: true })
