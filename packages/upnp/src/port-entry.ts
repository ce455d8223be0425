import { type CallOptions, canonicalAddress, type Endpoint, isNatError } from '@postern/interface'
import type { Client } from './client.js'
import { faultError } from './soap.js'

/** One line of the router's list of port mappings. */
export interface PortEntry {
  /** An address; a few routers give the name of the host instead. */
  readonly client: string
  readonly port: number
  /** What is left of the lease when it is read; 0 has no end. */
  readonly leaseSeconds: number
}

/** What the router tells of an external port. `foreign`: it is somebody's, and we may not know whose.
 * `unreadable`: it does not tell. */
export type Reading = PortEntry | 'absent' | 'foreign' | 'unreadable'

/** Reads the entry of an external port. */
export async function readEntry(
  client: Client,
  endpoint: Endpoint,
  externalPort: number,
  call: CallOptions
): Promise<Reading> {
  const action = 'GetSpecificPortMappingEntry'
  const reply = await client.call('connection', action, entryArguments(endpoint, externalPort), call)
  if (!reply.ok) {
    if (isAbsent(reply.fault)) return 'absent'
    // WANIPConnection:2 §2.5.20: who may not see an entry gets this.
    if (reply.fault === 606) return 'foreign'
    if ([401, 402, 501, 602].includes(reply.fault)) return 'unreadable'
    throw faultError(action, reply.fault, reply.description)
  }
  const number = (name: string): number => {
    const value = reply.values.get(name) ?? ''
    return /^\d{1,10}$/.test(value) ? Number(value) : 0
  }
  return {
    client: reply.values.get('newinternalclient') ?? '',
    port: number('newinternalport'),
    leaseSeconds: number('newleaseduration')
  }
}

/** 713 and 714 by the standard; 730 from firmware that mixes up its tables. */
const isAbsent = (fault: number): boolean => [713, 714, 730].includes(fault)

/** What names an entry. The remote host is the wildcard, always. */
export const entryArguments = (
  { protocol }: Endpoint,
  externalPort: number
): { NewRemoteHost: string; NewExternalPort: number; NewProtocol: string } => ({
  NewRemoteHost: '',
  NewExternalPort: externalPort,
  NewProtocol: protocol.toUpperCase()
})

/** Ours leads to our endpoint; the protocol is part of what was asked for. A router that writes names instead of
 * addresses is believed only where we have just seen what it calls us. */
export const isOurs = (reading: Reading, endpoint: Endpoint, knownAs?: string): boolean =>
  typeof reading === 'object' &&
  reading.port === endpoint.port &&
  (canonicalAddress(reading.client) === canonicalAddress(endpoint.address) ||
    (knownAs !== undefined && reading.client === knownAs))

export interface Removal {
  readonly endpoint: Endpoint
  readonly externalPort: number
  /** What the router calls this host, where that is no address. */
  readonly knownAs: string | undefined
  /** The router was asked to add the entry, and has not refused it: where its list does not show it, that is no proof. */
  readonly isAdded: boolean
}

/** Deletes the entry of an external port unless it leads to another endpoint. What is absent is fine. */
export async function removeEntry(client: Client, removal: Removal, call: CallOptions): Promise<void> {
  const { endpoint, externalPort, knownAs, isAdded } = removal
  const reading = await readEntry(client, endpoint, externalPort, call).catch((error: unknown) => {
    call.signal.throwIfAborted()
    if (!isAdded || !isNatError(error)) throw error
    return 'unreadable' as const
  })
  const isUnseen = reading === 'unreadable' || (reading === 'absent' && isAdded)
  if (!isUnseen && !isOurs(reading, endpoint, knownAs)) return
  await deleteEntry(client, endpoint, externalPort, call)
}

/** Deletes an entry that is known to be ours. */
export async function deleteEntry(
  client: Client,
  endpoint: Endpoint,
  externalPort: number,
  call: CallOptions
): Promise<void> {
  const action = 'DeletePortMapping'
  const reply = await client.call('connection', action, entryArguments(endpoint, externalPort), call)
  if (!reply.ok && !isAbsent(reply.fault)) throw faultError(action, reply.fault, reply.description)
}
