import { type CallOptions, isNatError, type ListedMapping, type Protocol } from '@postern/interface'
import type { Client } from '../device/client.js'
import { cleanName } from '../device/device-names.js'
import type { SoapReply } from '../device/soap.js'

/** The maximum number of entries that are read by their index: a hostile list may be endless. */
const maxListed = 64
/** The fault for an index past the last entry (WANIPConnection:1 §2.4.14), and the fault of firmware without such a list. */
const ends: ReadonlySet<number> = new Set([713, 714])

/**
 * Reads the router's list of port mappings: first the entries of the given ports, then the others by their index. Sends only
 * queries. Resolves with whether the list was read to its end.
 */
export async function listMappings(
  client: Client,
  ports: readonly Pick<ListedMapping, 'protocol' | 'externalPort'>[],
  each: (mapping: ListedMapping) => void,
  call: CallOptions
): Promise<boolean> {
  for (const { protocol, externalPort } of ports) {
    const query = { NewRemoteHost: '', NewExternalPort: externalPort, NewProtocol: protocol.toUpperCase() }
    const reply = await ask(client, 'GetSpecificPortMappingEntry', query, call)
    const found = reply?.ok === true ? readMapping(reply.values, { protocol, externalPort }) : undefined
    if (found !== undefined) each(found)
  }
  for (let index = 0; index < maxListed; index += 1) {
    const reply = await ask(client, 'GetGenericPortMappingEntry', { NewPortMappingIndex: index }, call)
    if (reply === undefined) return false
    if (!reply.ok) return ends.has(reply.fault)
    const found = readMapping(reply.values)
    if (found !== undefined) each(found)
  }
  return false
}

/** Resolves to undefined if there is no usable answer. */
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
    if (!isNatError(error)) throw error
    return undefined
  }
}

/** Reads one entry. Undefined if it names no mapping of one port.
 *
 * @param asked - the protocol and port of the query, which the answer to it does not repeat */
function readMapping(
  values: ReadonlyMap<string, string>,
  asked?: Pick<ListedMapping, 'protocol' | 'externalPort'>
): ListedMapping | undefined {
  const protocol = asked?.protocol ?? protocolOf(values.get('newprotocol'))
  const externalPort = asked?.externalPort ?? portOf(values.get('newexternalport'))
  const internalPort = portOf(values.get('newinternalport'))
  const internalAddress = cleanName(values.get('newinternalclient') ?? '')
  if (protocol === undefined || externalPort === undefined || internalPort === undefined || internalAddress === '')
    return undefined
  const description = cleanName(values.get('newportmappingdescription') ?? '')
  const lease = values.get('newleaseduration') ?? ''
  const seconds = /^\d{1,10}$/.test(lease) ? Number(lease) : 0
  return {
    protocol,
    externalPort,
    internalAddress,
    internalPort,
    description: description === '' ? null : description,
    remainingMs: seconds === 0 ? Number.POSITIVE_INFINITY : seconds * 1000
  }
}

function protocolOf(text: string | undefined): Protocol | undefined {
  const protocol = text?.toLowerCase()
  return protocol === 'tcp' || protocol === 'udp' ? protocol : undefined
}

function portOf(text: string | undefined): number | undefined {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0
  return port > 0 && port < 65_536 ? port : undefined
}
