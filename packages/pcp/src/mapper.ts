import {
  type CallOptions,
  type Clock,
  isNeverExternal,
  type ErrorCode,
  type Family,
  familyOf,
  formatMultiaddr,
  type Gateway,
  isNatError,
  type Lease,
  type Mapper,
  type MapRequest,
  type NatError,
  natError
} from '@postern/interface'
import { type Undo, isUndone, undoAtOnce, waitsFor } from '@postern/net'
import { anyAddress } from './address-bytes.js'
import type { Client } from './client.js'
import { type MappingReply, type MappingRequest, result } from './codec.js'
import { mappingRefusal } from './results.js'
import { type External, refusals, type Subject, type Way, waysOf } from './ways.js'

/** RFC 6887 §15 lets clients cap what they are granted: no program should rely
 * for longer on a rule that it never asks for again. */
const longestLifetimeSeconds = 24 * 60 * 60
/** What a verb may take: two requests and undoing them, each as long as a slow router takes. */
const timeoutMs = 75_000
/** RFC 6887 §11.1. */
const nonceBytes = 12

const untold = natError(
  'EXTERNAL_ADDRESS_UNKNOWN',
  'the router maps the port and does not tell its external address: it names one of the other family'
)

export interface MapperOptions {
  readonly client: Client
  readonly gateway: Gateway
  readonly family: Family
  readonly clock: Clock
  readonly addressChanged: () => void
  /** A mapping was granted that is no renewal. */
  readonly granted: () => void
}

/** The mapper of one server: glue between the contract and the client. */
export function createMapper({ client, gateway, family, clock, addressChanged, granted: told }: MapperOptions): Mapper {
  let lastChange = ''
  /** Every lease of the server tells the same change. */
  const noteAddress = (before: External, after: External): void => {
    const change = `${before.address} ${after.address}`
    if (before.address === after.address || change === lastChange) return
    lastChange = change
    addressChanged()
  }

  const lease = (subject: Subject, external: External, lifetimeSeconds: number): Lease => ({
    addresses: [formatMultiaddr(external.address, subject.endpoint.protocol, external.port)],
    // What is beyond the request is not relied on: the server may count by another clock.
    lifetimeMs: Math.min(lifetimeSeconds, subject.lifetimeSeconds) * 1000,
    ...(external.address === anyAddress[subject.endpoint.family] ? { caveat: untold } : {}),
    renew: (call) =>
      client.inTurn(async () => {
        // §11.2.1: what to suggest is what was assigned.
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
          // It may have been carried out although nothing will use it: what it made is deleted.
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
  const lifetimeSeconds = Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), longestLifetimeSeconds)
  return { endpoint, nonce: key.slice(0, nonceBytes), lifetimeSeconds }
}

interface Grant {
  readonly reply: MappingReply
  /** As it was asked for in the end. */
  readonly subject: Subject
}

/** Asks in one way after the other until one is granted. Rejects with the first refusal. */
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
  throw refusal ?? natError('GATEWAY_FAULT', 'nothing was asked for')
}

function checked(reply: MappingReply, { lifetimeSeconds }: MappingRequest): MappingReply {
  const { externalAddress, externalPort } = reply
  if (externalPort !== 0 && reply.lifetimeSeconds !== 0 && !isNeverExternal(externalAddress)) return reply
  throw natError(
    'GRANT_INVALID',
    `the router granted ${externalAddress} port ${externalPort} for ${reply.lifetimeSeconds} s to a request for ${lifetimeSeconds} s`
  )
}

/** Where a mapping is from outside. An IPv4 port is mapped to an IPv4 address, and that another one is named says only that the
 * server does not tell it. */
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

/** RFC 6887 §15.1 as erratum 3621 has it: port 0, and the all-zeros address of the external address's family. */
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
      // §15.1: deleting what is gone succeeds. miniupnpd answers NO_RESOURCES then, which no deletion can mean.
      if (reply.result === result.success || reply.result === result.noResources) done = true
      else throw await lapsing(client, subject, external, mappingRefusal(reply, asked), call)
    }, call)
  }
}

/** miniupnpd before 2.3.6 forgets the nonce of a pinhole when it is renewed, and nobody can delete it then. Renewing goes
 * on working, so the pinhole is renewed for as short a time as the server allows, and the refusal tells. */
async function lapsing(
  client: Client,
  subject: Subject,
  external: External,
  refused: NatError,
  call: CallOptions
): Promise<NatError> {
  // On IPv4 another nonce means another owner, and asking again would map anew.
  if (refused.code !== 'NOT_AUTHORIZED' || subject.endpoint.family === 4) return refused
  const reply = await client.map(requestFor(subject, external, 1), subject.endpoint.address, call)
  if (reply.result !== result.success) return refused
  const message = `the router does not delete the mapping; it lapses in ${reply.lifetimeSeconds} s`
  const { retryAfterMs } = refused
  return natError('NOT_AUTHORIZED', message, {
    cause: refused,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs })
  })
}

/** Whether the server may have made a mapping although the request failed. */
const isUncertain = (error: unknown): error is NatError & { readonly code: ErrorCode } =>
  isNatError(error) && ['NO_REPLY', 'MALFORMED_REPLY', 'GRANT_INVALID'].includes(error.code)

/** Deletes what a request may have made. Rejects with the refusal of the server, or where it does not answer. */
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
