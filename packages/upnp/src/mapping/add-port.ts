import { type CallOptions, isNatError, orAborted } from '@postern/interface'
import { faultError, type SoapReply } from '../device/soap.js'
import { entryArguments, findOwnPort, isUseless } from './port-entry.js'
import type { Quirks } from './quirks.js'
import type { Wish } from './types.js'
import { type Change, startChange } from './undo.js'

/** The words for the quirks that later runs use. */
const words = {
  permanent: 'only-permanent-leases',
  noAddAny: 'no-add-any-port-mapping',
  shortOnly: 'only-short-leases'
} as const
const lasting = ['permanent', 'noAddAny', 'shortOnly'] as const

/** Adds the quirks that an earlier run found. */
export function learn(quirks: Quirks, told: readonly string[]): void {
  for (const each of lasting) quirks[each] ||= told.includes(words[each])
}

/** Returns the words for a router's quirks. */
export const wordsOf = (quirks: Quirks): readonly string[] =>
  lasting.flatMap((each) => (quirks[each] ? [words[each]] : []))

/** A request that adds an entry. */
export interface Addition extends Change<SoapReply> {
  readonly externalPort: number
  /** On the monotonic clock. */
  readonly sentMs: number
}

/** The faults of AddAnyPortMapping that AddPortMapping would return as well. */
const refusedEitherWay: ReadonlySet<number> = new Set([604, 605, 606, 718, 725, 728, 729])

/** Adds or refreshes an entry. Appends each addition to `additions`, so that it can be undone. */
export async function add(
  wish: Wish,
  externalPort: number,
  leaseSeconds: number,
  isRefresh: boolean,
  additions: Addition[],
  call: CallOptions
): Promise<SoapReply> {
  const { client, host, request, description, quirks } = wish
  const { endpoint } = request
  const values = {
    ...entryArguments(endpoint, externalPort),
    NewInternalPort: endpoint.port,
    // Always this host: miniupnpd and others refuse any other address.
    NewInternalClient: endpoint.address,
    NewEnabled: 1,
    NewPortMappingDescription: description,
    NewLeaseDuration: leaseSeconds
  }
  if (isRefresh) return client.call('connection', 'AddPortMapping', values, call)
  const start = async (action: string): Promise<SoapReply> => {
    const change = startChange((own) => client.call('connection', action, values, own))
    const addition = { ...change, externalPort, sentMs: host.clock.monotonicMs() }
    additions.push(addition)
    const reply = await orAborted(addition.answer, call)
    if (!reply.ok && !isUseless(faultError(action, reply.fault, '').code)) additions.pop()
    return reply
  }
  // AddAnyPortMapping could assign a second port, so it is used only for new entries. Some devices of version 2 do not
  // have it, and on some it is broken: they close the connection, or answer 404 or 500.
  if ((client.device.connection?.version ?? 1) < 2 || quirks.noAddAny) return start('AddPortMapping')
  try {
    const reply = await start('AddAnyPortMapping')
    if (reply.ok || refusedEitherWay.has(reply.fault)) return reply
  } catch (error) {
    call.signal.throwIfAborted()
    if (!isNatError(error)) throw error
    // The action may have been carried out, with a port that only the answer would have told.
    const port = isUseless(error.code) ? await findOwnPort(client, endpoint, undefined, call, description) : undefined
    if (port !== undefined) return { ok: true, values: new Map([['newreservedport', String(port)]]) }
  }
  const reply = await start('AddPortMapping')
  if (reply.ok) quirks.noAddAny = true
  return reply
}

/** Reads the port that the router chose (WANIPConnection:2 §2.5.22). Undefined if there is none, or an invalid one. */
export function reservedPort(reply: SoapReply): number | undefined {
  const text = reply.ok ? (reply.values.get('newreservedport') ?? '') : ''
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port > 0 && port < 65_536 ? port : undefined
}
