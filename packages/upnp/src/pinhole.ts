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
  type Protocol
} from '@postern/interface'
import { orAborted } from '@postern/net'
import type { Client } from './client.js'
import { faultError, type SoapReply } from './soap.js'
import { abortedTime, type Change, startChange, undoChanges, type UndoTime } from './undo.js'

/** WANIPv6FirewallControl:1 §2.3.8. */
const longestLeaseSeconds = 86_400
/** What a verb may take, in ms: the device is searched over IPv6, asked, and asked to undo. */
const timeoutMs = 90_000
/** How long a pinhole is asked for that is closed at once, in ms. */
const momentMs = 60_000
/** IANA protocol numbers. */
const protocolNumbers: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17 }
/** WANIPv6FirewallControl:1 §2.5.4: NoSuchEntry. */
const noSuchEntry = 704

interface Pinholes {
  readonly host: Host
  /** The device, asked from the address that the pinhole is to lead to. */
  readonly clientFor: (address: string, call: CallOptions) => Promise<Client>
  /** The same, after a refusal: searches for as long as a slow device takes to answer over IPv6. */
  readonly patientClientFor: (address: string, call: CallOptions) => Promise<Client>
}

/** Opens IPv6 pinholes on one device. */
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
    // It may have been asked from another address than the pinhole's: a device that answers late over IPv6.
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
        // Anybody, from any port. We cannot know who will connect.
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
    if (id === undefined) throw natError('GRANT_INVALID', 'the router opened a pinhole and does not say which')
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
    // The service has no action that reads the lease back, and must not shorten it (§2.5.2).
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

/** What is closed already is fine. */
async function close(client: Client, id: number, call: CallOptions): Promise<void> {
  const reply = await client.call('firewall', 'DeletePinhole', { UniqueID: id }, call)
  if (!reply.ok && reply.fault !== noSuchEntry) throw faultError('DeletePinhole', reply.fault, reply.description)
}

const longTime = ({ times }: Client): UndoTime => ({ answerMs: 0, undoMs: times.undoMs() })

/** Only the answer tells the id. Whether it was told and the pinhole is closed, or the router has refused it. */
async function undo({ host }: Pinholes, client: Client, change: Change<SoapReply>, time: UndoTime): Promise<boolean> {
  let isKnown = false
  const isUndone = await undoChanges(host.clock, [change], time, async (_change, reply, call) => {
    const id = reply === undefined ? undefined : uniqueId(reply)
    isKnown = id !== undefined || reply?.ok === false
    if (id !== undefined) await close(client, id, call)
  })
  return isUndone && isKnown
}

/** A pinhole that is asked for again is the same one (WANIPv6FirewallControl:1 §2.5.3): that tells the id of one whose
 * answer was lost. */
async function undoOpen(pinholes: Pinholes, request: MapRequest, call: CallOptions): Promise<void> {
  const lease = await open(pinholes, request, call)
  await lease.release(call)
}

const askedSeconds = ({ lifetimeMs }: MapRequest): number =>
  Math.min(Math.max(1, Math.ceil(lifetimeMs / 1000)), longestLeaseSeconds)

/** WANIPv6FirewallControl:1 §2.3.9: 16 bits. */
function uniqueId(reply: SoapReply): number | undefined {
  const text = reply.ok ? (reply.values.get('uniqueid') ?? '') : ''
  return /^\d{1,5}$/.test(text) ? Number(text) : undefined
}
