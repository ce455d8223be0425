import { type CallOptions, canonicalAddress, classOf, type Endpoint, isNatError } from '@postern/interface'
import type { Client } from './client.js'
import { faultError, type SoapReply } from './soap.js'

/** One line of the router's list of port mappings. */
export interface PortEntry {
  /** An address; a few routers give the name of the host instead. */
  readonly client: string
  readonly port: number
  /** What is left of the lease when it is read; 0 has no end. */
  readonly leaseSeconds: number
  /** The router's owner has switched it off, or the list says so. */
  readonly isOff: boolean
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
  const reply = await ask(client, 'GetSpecificPortMappingEntry', entryArguments(endpoint, externalPort), call)
  if (reply === undefined) return 'unreadable'
  if (!reply.ok) {
    if (isAbsent(reply.fault)) return 'absent'
    // WANIPConnection:2 §2.5.20: for an entry that this host may not see.
    return reply.fault === 606 ? 'foreign' : 'unreadable'
  }
  // An answer without its values is none.
  if (!reply.values.has('newinternalclient')) return 'unreadable'
  const entry = entryOf(reply.values)
  // Some answer with an empty entry where there is none.
  return isBlank(entry.client) && entry.port === 0 ? 'absent' : entry
}

const isBlank = (client: string): boolean => client === '' || classOf(client) === 'unspecified'

/** An entry that leaves out where it leads, or half of that, and contradicts nothing. Not another host's, where it was absent
 * before it was added. */
export const isVague = (reading: Reading, endpoint: Endpoint): boolean =>
  typeof reading === 'object' &&
  (isBlank(reading.client) || canonicalAddress(reading.client) === canonicalAddress(endpoint.address)) &&
  (reading.port === 0 || reading.port === endpoint.port) &&
  !isOurs(reading, endpoint)

/** The list is a check: that it cannot be read is no reason to fail. Undefined where the question got no answer; a router
 * that refuses connections is gone, and that is an error. */
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

/** More entries of a list are not read: a hostile one has no end. */
const maxListed = 64

/** Looks through the list for an entry that leads to the endpoint already: of any name, or of the one given. */
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
  /** The router was asked to add the entry, and has not refused it. */
  readonly isAdded: boolean
}

/** Deletes the entry of an external port unless the list says that it leads to another endpoint. A list that does not show an
 * entry that was added is not believed: the deletion of what is absent does no harm, and that of what is hidden from this host
 * is refused. */
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
    // It belongs to another host by now.
    if (reading !== 'foreign' || !isNatError(error) || error.code !== 'NOT_AUTHORIZED') throw error
  }
}

/** Deletes an entry that the list shows as ours. Some carry it out and answer with a failure, or with nothing, and some fail the
 * first time: then the list decides, and the router is asked once more. */
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

/** Answers that leave open whether something was done. */
export const isUseless = (code: string | undefined): boolean => code === 'MALFORMED_REPLY' || code === 'GATEWAY_FAULT'

async function askToDelete(client: Client, endpoint: Endpoint, externalPort: number, call: CallOptions): Promise<void> {
  const action = 'DeletePortMapping'
  const reply = await client.call('connection', action, entryArguments(endpoint, externalPort), call)
  if (!reply.ok && !isAbsent(reply.fault)) throw faultError(action, reply.fault, reply.description)
}
