import {
  type CallOptions,
  formatMultiaddr,
  type Gateway,
  type Host,
  isNatError,
  type Lease,
  type Mapper,
  type MapRequest,
  natError,
  orAborted,
  type Protocol
} from '@postern/interface'
import type { Client } from '../device/client.js'
import { faultError, type SoapReply } from '../device/soap.js'
import { abortedTime, type Change, startChange, type UndoTime, undoChanges } from './undo.js'

/** The maximum lease of a pinhole, in seconds: a day (WANIPv6FirewallControl:1 §2.3.8). */
const maxLeaseSeconds = 86_400
/** How long one call may take, in ms: the search for the device over IPv6, the action, and its undoing. */
const timeoutMs = 90_000
/** The requested lease of a pinhole that is closed at once, in ms. */
const momentMs = 60_000
/** IANA protocol numbers. */
const protocolNumbers: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17 }
/** WANIPv6FirewallControl:1 §2.5.4: NoSuchEntry. */
const noSuchEntry = 704

interface Pinholes {
  readonly host: Host
  /** Resolves to a client that asks from the address to which the pinhole leads. */
  readonly clientFor: (address: string, call: CallOptions) => Promise<Client>
  /** Like `clientFor`, but searches long enough for a device that is slow over IPv6. For use after a refusal. */
  readonly patientClientFor: (address: string, call: CallOptions) => Promise<Client>
}

/** Creates a mapper that opens IPv6 pinholes on one device. */
export function createPinholeMapper(gateway: Gateway, pinholes: Pinholes): Mapper {
  return {
    kind: 'mapper',
    gateway,
    family: 6,
    protocols: ['tcp', 'udp'],
    map: (request, call) => open(pinholes, request, call),
    undo: (request, call) => undoOpen(pinholes, { ...request, lifetimeMs: momentMs }, call),
    timeoutMs
  }
}

async function open(pinholes: Pinholes, request: MapRequest, call: CallOptions): Promise<Lease> {
  call.signal.throwIfAborted()
  if (request.endpoint.family !== 6) throw new TypeError('a pinhole is for IPv6')
  const { address } = request.endpoint
  const client = await pinholes.clientFor(address, call)
  try {
    return await openBy(client, pinholes, request, call)
  } catch (error) {
    if (!isNatError(error) || error.code !== 'NOT_AUTHORIZED') throw error
    // The device may be slow over IPv6, so the request may have come from another address than the pinhole's.
    const other = await pinholes.patientClientFor(address, call)
    if (other === client) throw error
    return openBy(other, pinholes, request, call)
  }
}

async function openBy(
  client: Client,
  pinholes: Pinholes,
  request: MapRequest,
  { signal }: CallOptions
): Promise<Lease> {
  const { address, port, protocol } = request.endpoint
  const leaseSeconds = askedSeconds(request)
  const change = startChange((own) =>
    client.call(
      'firewall',
      'AddPinhole',
      {
        // Any remote host and port: the peers are not known in advance.
        RemoteHost: '',
        RemotePort: 0,
        InternalClient: address,
        InternalPort: port,
        Protocol: protocolNumbers[protocol],
        LeaseTime: leaseSeconds
      },
      own
    )
  )
  try {
    const reply = await orAborted(change.answer, { signal })
    if (!reply.ok) throw faultError('AddPinhole', reply.fault, reply.description)
    const id = uniqueId(reply)
    if (id === undefined) throw natError('GRANT_INVALID', 'the router opened a pinhole and does not tell its id')
    return grant(pinholes, client, request, id, leaseSeconds)
  } catch (error) {
    const isUndone = await undo(pinholes, client, change, signal.aborted ? abortedTime : longTime(client))
    signal.throwIfAborted()
    const isOpen = !isUndone && isNatError(error)
    throw isOpen ? natError(error.code, error.message, { cause: error, mayRemain: true }) : error
  }
}

function grant(pinholes: Pinholes, client: Client, request: MapRequest, id: number, leaseSeconds: number): Lease {
  const { address, port, protocol } = request.endpoint
  let released = false
  return {
    addresses: [formatMultiaddr(address, protocol, port)],
    // The service has no action to read the lease, and must not shorten it (§2.5.2).
    lifetimeMs: leaseSeconds * 1000,
    async renew(call) {
      const values = { UniqueID: id, NewLeaseTime: leaseSeconds }
      const reply = await client.call('firewall', 'UpdatePinhole', values, call)
      if (reply.ok) return grant(pinholes, client, request, id, leaseSeconds)
      if (reply.fault === noSuchEntry) return open(pinholes, request, call)
      throw faultError('UpdatePinhole', reply.fault, reply.description)
    },
    async release(call) {
      if (released) return
      await close(client, id, call)
      released = true
    }
  }
}

/** Closes a pinhole. Resolves also if it is closed already. */
async function close(client: Client, id: number, call: CallOptions): Promise<void> {
  const reply = await client.call('firewall', 'DeletePinhole', { UniqueID: id }, call)
  if (!reply.ok && reply.fault !== noSuchEntry) throw faultError('DeletePinhole', reply.fault, reply.description)
}

const longTime = ({ times }: Client): UndoTime => ({ answerMs: 0, undoMs: times.undoMs() })

/** Undoes an AddPinhole. Only its answer tells the id. Resolves to whether no pinhole is left: it was closed, or the
 * router had refused it. */
async function undo({ host }: Pinholes, client: Client, change: Change<SoapReply>, time: UndoTime): Promise<boolean> {
  let isKnown = false
  const isUndone = await undoChanges(host.clock, [change], time, async (_change, reply, call) => {
    const id = reply === undefined ? undefined : uniqueId(reply)
    isKnown = id !== undefined || reply?.ok === false
    if (id !== undefined) await close(client, id, call)
  })
  return isUndone && isKnown
}

/** Closes a pinhole with an unknown id, after its answer was lost. Requesting it again returns the id of the existing
 * one (WANIPv6FirewallControl:1 §2.5.3). */
async function undoOpen(pinholes: Pinholes, request: MapRequest, call: CallOptions): Promise<void> {
  const lease = await open(pinholes, request, call)
  await lease.release(call)
}

const askedSeconds = ({ lifetimeMs }: MapRequest): number =>
  Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), maxLeaseSeconds)

/** Reads the id of a pinhole from an answer (16 bits, WANIPv6FirewallControl:1 §2.3.9). */
function uniqueId(reply: SoapReply): number | undefined {
  const text = reply.ok ? (reply.values.get('uniqueid') ?? '') : ''
  return /^\d{1,5}$/.test(text) ? Number(text) : undefined
}
