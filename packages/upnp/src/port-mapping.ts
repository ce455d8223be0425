import {
  type CallOptions,
  familyOf,
  formatMultiaddr,
  type Gateway,
  type Host,
  isNatError,
  type Lease,
  type Mapper,
  type MapRequest,
  type NatError,
  natError
} from '@postern/interface'
import { orAborted } from '@postern/net'
import { createExternalAddress, type ExternalAddress, type ExternalAddressOptions } from './external-address.js'
import { askedLeaseSeconds, lifetimeOf } from './lease-time.js'
import { createOpenEnds, type OpenEnds } from './open-ends.js'
import { deleteEntry, entryArguments, isOurs, type Reading, readEntry, removeEntry } from './port-entry.js'
import { faultError, type SoapReply } from './soap.js'
import { type Addition, reservedPort, undoAdditions, undoMap } from './port-undo.js'
import { startChange } from './undo.js'

/** External ports tried: the suggested one and random ones. */
const maxTries = 8
/** What a verb may take, in ms: a dozen actions of a router that is as slow as can be. */
const timeoutMs = 180_000
/** RFC 6335 §6: the ports that belong to nobody. */
const firstRandomPort = 49_152

export interface PortMapping extends ExternalAddressOptions {
  readonly description: string
  /** An entry was gone before its time: the router has started again, or lost its list. */
  readonly forgot: () => void
}

/** A mapping that is wanted. */
interface Wish extends PortMapping {
  readonly external: ExternalAddress
  readonly openEnds: OpenEnds
  readonly request: MapRequest
  /** The external port to try first. */
  readonly externalPort: number
  /** It was granted, and its time has not run out. */
  readonly isHeld: boolean
  /** The router has said that it grants nothing that ends. */
  readonly permanent: boolean
  /** What the router calls this host, where that is no address. */
  readonly knownAs: string | undefined
}

/** Maps IPv4 ports on one device. */
export function createPortMapper(gateway: Gateway, mapping: PortMapping): Mapper {
  const external = createExternalAddress(mapping)
  const openEnds = createOpenEnds()
  return {
    kind: 'mapper',
    gateway,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request, call) {
      const { endpoint, suggestedExternalPort: suggested } = request
      if (endpoint.family !== 4) throw new TypeError('a port mapping of UPnP is for IPv4')
      // External port 0 would open every port (WANIPConnection:1 §2.2.18).
      const externalPort =
        Number.isInteger(suggested) && suggested > 0 && suggested < 65_536 ? suggested : endpoint.port
      const wish = {
        ...mapping,
        external,
        openEnds,
        request,
        externalPort,
        isHeld: false,
        permanent: false,
        knownAs: undefined
      }
      return acquire(wish, external.fresh, call)
    },
    undo: (request, call) => undoMap({ ...mapping, openEnds, request }, call),
    timeoutMs
  }
}

/** Makes or refreshes a mapping. Whatever it added is taken back if it fails or is aborted. */
async function acquire(
  wish: Wish,
  tellExternal: (call: CallOptions) => Promise<string>,
  { signal }: CallOptions
): Promise<Lease> {
  signal.throwIfAborted()
  const additions: Addition[] = []
  try {
    const external = await tellExternal({ signal })
    return await tryPorts(wish, external, additions, { signal })
  } catch (error) {
    const isUndone = await undoAdditions(wish, additions, signal)
    signal.throwIfAborted()
    throw isUndone || !isNatError(error)
      ? error
      : natError(error.code, error.message, { cause: error, mayRemain: true })
  }
}

async function tryPorts(wish: Wish, external: string, additions: Addition[], call: CallOptions): Promise<Lease> {
  const { client, request, host } = wish
  const { endpoint } = request
  const tried = new Set<number>()
  let { externalPort, permanent, knownAs } = wish
  let complaint: NatError | undefined

  for (let attempt = 0; attempt < maxTries; attempt += 1) {
    tried.add(externalPort)
    const before = await readEntry(client, endpoint, externalPort, call)
    const known = isOurs(before, endpoint, knownAs)
    if (wish.isHeld && before === 'absent' && externalPort === wish.externalPort) wish.forgot()
    if (!known && before !== 'absent' && before !== 'unreadable') {
      // miniupnpd would let us re-point the entry of another program of this host, old firmware that of anybody.
      complaint = natError('CONFLICT', `the external port ${externalPort} is mapped to somebody else`)
      externalPort = randomPort(host, tried)
      continue
    }
    if (known && permanent && typeof before === 'object' && before.leaseSeconds === 0)
      return grant(wish, external, externalPort, 0, before, knownAs)

    const leaseSeconds = permanent ? 0 : askedLeaseSeconds(request)
    const reply = await add(wish, externalPort, leaseSeconds, known, additions, call)
    if (!reply.ok) {
      complaint = faultError('AddPortMapping', reply.fault, reply.description)
      if ((reply.fault === 402 || reply.fault === 725) && !permanent) {
        permanent = true
        attempt -= 1
      } else if (reply.fault === 718 && known) {
        // Some do not let even the owner add an entry again. It is ours, so it may go first.
        await deleteEntry(client, endpoint, externalPort, call)
      } else if (reply.fault === 718 || reply.fault === 729) {
        externalPort = randomPort(host, tried)
      } else if (reply.fault === 724 && !tried.has(endpoint.port)) {
        externalPort = endpoint.port
      } else {
        throw complaint
      }
      continue
    }

    const granted = reservedPort(reply) ?? externalPort
    const after = await readEntry(client, endpoint, granted, call)
    if (after === 'unreadable') return grant({ ...wish, permanent }, external, granted, leaseSeconds, after, knownAs)
    // Where there was nothing before, an entry to a host with a name and to our port is the one that we just added.
    if (!known && typeof after === 'object' && familyOf(after.client) === undefined && after.client !== '') {
      knownAs = after.client
    }
    if (isOurs(after, endpoint, knownAs)) {
      return grant({ ...wish, permanent }, external, granted, leaseSeconds, after, knownAs)
    }
    complaint = natError(
      'GRANT_INVALID',
      `the router says that it mapped port ${granted}, and its list says ${whatItSays(after)}`
    )
    // Orange's FunBox maps every external port to the same internal one: then only ours will do.
    const isShifted = typeof after === 'object' && after.client === endpoint.address && after.port === granted
    if (!isShifted) throw complaint
    await deleteEntry(client, endpoint, granted, call)
    if (tried.has(endpoint.port)) throw complaint
    externalPort = endpoint.port
  }
  throw complaint ?? natError('CONFLICT', `none of ${maxTries} external ports is free`)
}

/** Adds or refreshes the entry. What it adds is noted, so that it can be undone. */
async function add(
  wish: Wish,
  externalPort: number,
  leaseSeconds: number,
  isRefresh: boolean,
  additions: Addition[],
  call: CallOptions
): Promise<SoapReply> {
  const { client, host, request, description } = wish
  const { endpoint } = request
  const values = {
    ...entryArguments(endpoint, externalPort),
    NewInternalPort: endpoint.port,
    // Always ourselves. Miniupnpd and others refuse any other address.
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
    if (!reply.ok) additions.pop()
    return reply
  }
  // AddAnyPortMapping could give us a second port beside our own, so it is for new entries. Some that call themselves
  // version 2 do not have it.
  if ((client.device.connection?.version ?? 1) >= 2) {
    const reply = await start('AddAnyPortMapping')
    if (reply.ok || (reply.fault !== 401 && reply.fault !== 602)) return reply
  }
  return start('AddPortMapping')
}

function grant(
  wish: Wish,
  external: string,
  externalPort: number,
  leaseSeconds: number,
  reading: Reading,
  knownAs: string | undefined
): Lease {
  const { endpoint } = wish.request
  const held: Wish = { ...wish, externalPort, isHeld: true, knownAs }
  let released = false
  return {
    addresses: [formatMultiaddr(external, endpoint.protocol, externalPort)],
    lifetimeMs: lifetimeOf(leaseSeconds, reading),
    // Renewing is how a new address is noticed.
    renew: (call) => acquire(held, held.external.ask, call),
    async release(call) {
      if (released) return
      await removeEntry(wish.client, { endpoint, externalPort, knownAs, isAdded: true }, call)
      released = true
    }
  }
}

/** A port that was not tried. The jitter of the host is good enough: nobody has to be kept from guessing it. */
function randomPort({ random }: Host, tried: ReadonlySet<number>): number {
  const count = 65_536 - firstRandomPort
  let port = firstRandomPort + (Math.floor(random() * count) % count)
  while (tried.has(port)) port = port === 65_535 ? firstRandomPort : port + 1
  return port
}

const whatItSays = (reading: Reading): string =>
  typeof reading === 'object' ? `that it leads to another host or port` : reading === 'absent' ? 'nothing' : reading
