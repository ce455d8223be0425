import { type CallOptions, canonicalAddress, classOf, type Endpoint, isNatError } from '@postern/interface'
import type { Client } from '../device/client.js'
import { faultError, type SoapReply } from '../device/soap.js'

/** One line of the router's list of port mappings. */
export interface PortEntry {
  /** The internal address; a few routers write the name of the host instead. */
  readonly client: string
  readonly port: number
  /** The remaining lease when it was read, in seconds; 0 is permanent. */
  readonly leaseSeconds: number
  /** Whether the list shows the entry as disabled. */
  readonly isOff: boolean
}

/** The entry of an external port in the router's list. `absent`: there is none. `foreign`: this host may not see it.
 * `unreadable`: the router does not tell. */
export type Reading = PortEntry | 'absent' | 'foreign' | 'unreadable'

/** Reads the entry of an external port. Rejects only if the router is gone, or with the signal's reason. */
export async function readEntry(
  client: Client,
  endpoint: Endpoint,
  externalPort: number,
  call: CallOptions
): Promise<Reading> {
  const reply = await ask(client, 'GetSpecificPortMappingEntry', entryArguments(endpoint, externalPort), call)
  if (reply === undefined) return 'unreadable'
  if (!reply.ok) {
    if (isAbsent(reply.fault)) return 'absent'
    // WANIPConnection:2 §2.5.20: 606 means that this host may not see the entry.
    return reply.fault === 606 ? 'foreign' : 'unreadable'
  }
  // An answer without values tells nothing.
  if (!reply.values.has('newinternalclient')) return 'unreadable'
  const entry = entryOf(reply.values)
  // Some routers return an empty entry if there is none.
  return isBlank(entry.client) && entry.port === 0 ? 'absent' : entry
}

const isBlank = (client: string): boolean => client === '' || classOf(client) === 'unspecified'

/** Returns whether an entry omits its internal address or port and does not contradict the endpoint. If the entry was
 * absent before this host added it, it does not belong to another host. */
export const isVague = (reading: Reading, endpoint: Endpoint): boolean =>
  typeof reading === 'object' &&
  (isBlank(reading.client) || canonicalAddress(reading.client) === canonicalAddress(endpoint.address)) &&
  (reading.port === 0 || reading.port === endpoint.port) &&
  !isOurs(reading, endpoint)

/** Reads from the list, which is only a check: resolves to undefined if there is no answer. Rejects if the router
 * refuses connections, because it is gone then. */
async function ask(
  client: Client,
  action: string,
  values: Parameters<Client['call']>[2],
  call: CallOptions
): Promise<SoapReply | undefined> {
  try {
    return await client.call('connection', action, values, call)
  } catch (error) {
    call.signal.throwIfAborted()
    if (!isNatError(error) || error.code === 'REFUSED' || error.code === 'STRATEGY_FAULT') throw error
    return undefined
  }
}

function entryOf(values: ReadonlyMap<string, string>): PortEntry {
  const number = (name: string): number => {
    const value = values.get(name) ?? ''
    return /^\d{1,10}$/.test(value) ? Number(value) : 0
  }
  return {
    client: values.get('newinternalclient') ?? '',
    port: number('newinternalport'),
    leaseSeconds: number('newleaseduration'),
    isOff: /^(?:0|false|no|off)$/i.test(values.get('newenabled') ?? '')
  }
}

/** The maximum number of list entries that are read: a hostile list may be endless. */
const maxListed = 64

/** Searches the list for an entry that leads to the endpoint, with the given description if there is one. Resolves to
 * its external port. */
export async function findOwnPort(
  client: Client,
  endpoint: Endpoint,
  knownAs: string | undefined,
  call: CallOptions,
  description?: string
): Promise<number | undefined> {
  for (let index = 0; index < maxListed; index += 1) {
    const reply = await ask(client, 'GetGenericPortMappingEntry', { NewPortMappingIndex: index }, call)
    if (reply === undefined || !reply.ok) return undefined
    const { values } = reply
    const port = Number(values.get('newexternalport') ?? 0)
    const isSameProtocol = values.get('newprotocol')?.toLowerCase() === endpoint.protocol
    const isPort = Number.isInteger(port) && port > 0 && port < 65_536
    const isNamed = description === undefined || values.get('newportmappingdescription') === description
    if (isSameProtocol && isPort && isNamed && isOurs(entryOf(values), endpoint, knownAs)) return port
  }
  return undefined
}

/** Returns whether a fault means that there is no such entry: 713 and 714 by the standard, 730 from firmware that
 * confuses its tables. */
const isAbsent = (fault: number): boolean => [713, 714, 730].includes(fault)

/** Returns the arguments that identify an entry. The remote host is always the wildcard. */
export const entryArguments = (
  { protocol }: Endpoint,
  externalPort: number
): { NewRemoteHost: string; NewExternalPort: number; NewProtocol: string } => ({
  NewRemoteHost: '',
  NewExternalPort: externalPort,
  NewProtocol: protocol.toUpperCase()
})

/** Returns whether an entry leads to the endpoint; the protocol was part of the query. `knownAs` is the name that the
 * router was seen to use for this host; other names do not count. */
export const isOurs = (reading: Reading, endpoint: Endpoint, knownAs?: string): boolean =>
  typeof reading === 'object' &&
  reading.port === endpoint.port &&
  (canonicalAddress(reading.client) === canonicalAddress(endpoint.address) ||
    (knownAs !== undefined && reading.client === knownAs))

/** An entry to delete. */
export interface Removal {
  readonly endpoint: Endpoint
  readonly externalPort: number
  /** The name that the router uses for this host instead of an address. */
  readonly knownAs: string | undefined
  /** Whether this host requested the entry and the router did not refuse it. */
  readonly isAdded: boolean
}

/** Deletes the entry of an external port, unless the list shows that it leads to another endpoint. Deletes an added
 * entry even if the list does not show it: deleting a missing entry does no harm, and the router refuses to delete a
 * hidden one. */
export async function removeEntry(client: Client, removal: Removal, call: CallOptions): Promise<void> {
  const { endpoint, externalPort, knownAs, isAdded } = removal
  const reading = await readEntry(client, endpoint, externalPort, call)
  if ((reading === 'foreign' || reading === 'absent') && !isAdded) return
  const isLeft = isAdded && isVague(reading, endpoint)
  if (typeof reading === 'object' && !isOurs(reading, endpoint, knownAs) && !isLeft) return
  try {
    const remove = typeof reading === 'object' ? deleteEntry : askToDelete
    await remove(client, endpoint, externalPort, call)
  } catch (error) {
    // The entry belongs to another host now.
    if (reading !== 'foreign' || !isNatError(error) || error.code !== 'NOT_AUTHORIZED') throw error
  }
}

/** Deletes an entry that the list shows for this host. Some routers delete it and answer with a failure or not at all,
 * and some fail the first time. So after a failure, it reads the list, and repeats the deletion once if the entry is
 * still there. */
export async function deleteEntry(
  client: Client,
  endpoint: Endpoint,
  externalPort: number,
  call: CallOptions
): Promise<void> {
  try {
    await askToDelete(client, endpoint, externalPort, call)
  } catch (error) {
    call.signal.throwIfAborted()
    if (!isNatError(error) || !isUseless(error.code)) throw error
    const reading = await readEntry(client, endpoint, externalPort, call)
    if (reading === 'absent') return
    if (typeof reading !== 'object' || !isOurs(reading, endpoint)) throw error
    await askToDelete(client, endpoint, externalPort, call)
  }
}

/** Returns whether an error leaves open whether the action was carried out. */
export const isUseless = (code: string | undefined): boolean => code === 'MALFORMED_REPLY' || code === 'GATEWAY_FAULT'

async function askToDelete(client: Client, endpoint: Endpoint, externalPort: number, call: CallOptions): Promise<void> {
  const action = 'DeletePortMapping'
  const reply = await client.call('connection', action, entryArguments(endpoint, externalPort), call)
  if (!reply.ok && !isAbsent(reply.fault)) throw faultError(action, reply.fault, reply.description)
}
