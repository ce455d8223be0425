import {
  type CallOptions,
  type Endpoint,
  formatMultiaddr,
  type Gateway,
  isNatError,
  type Lease,
  type Mapper,
  natError
} from '@postern/interface'
import type { Service } from '../device/description.js'
import { type Addition, learn, wordsOf } from './add-port.js'
import { createExternalAddress, type ToldAddress } from './external-address.js'
import { lifetimeOf } from './lease-time.js'
import { listMappings } from './list-mappings.js'
import { createOpenEnds } from './open-ends.js'
import { removeEntry } from './port-entry.js'
import { createQuirks } from './quirks.js'
import { type Placed, tryPorts } from './try-ports.js'
import type { PortMapping, Wish } from './types.js'
import { undoAdditions, undoMap } from './undo-port.js'

const unreadable = natError(
  'GRANT_UNCHECKED',
  'the router says that it mapped the port, but its list cannot be read: the destination and the lease are not checked'
)

const switchedOff = natError(
  'GRANT_UNCHECKED',
  'the router says that it mapped the port, but its list shows the mapping switched off: check it in the settings of the router'
)

/** How long one call may take, in ms: a dozen actions of a very slow router. */
const timeoutMs = 180_000

/** Creates a mapper for the IPv4 ports of one device. */
export function createPortMapper(gateway: Gateway, mapping: PortMapping): Mapper {
  const external = createExternalAddress(mapping)
  const quirks = createQuirks()
  const openEnds = createOpenEnds()
  // A router beyond the next hop sees every request come from the address of the next hop.
  const senderOf = ({ address }: Endpoint): string => (gateway.through === undefined ? address : gateway.localAddress)
  let hasLearnt = false
  /** Once a mapping was granted, the service must not change any more: it is needed for renewals and deletions. */
  let hasGranted = false
  return {
    kind: 'mapper',
    gateway,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request, call) {
      const { endpoint, suggestedExternalPort: suggested } = request
      // Only once: later observations of this run are newer.
      if (!hasLearnt) learn(quirks, request.quirks ?? [])
      hasLearnt = true
      if (endpoint.family !== 4) throw new TypeError('a port mapping of UPnP is for IPv4')
      // External port 0 would open every port (WANIPConnection:1 §2.2.18).
      const externalPort =
        Number.isInteger(suggested) && suggested > 0 && suggested < 65_536 ? suggested : endpoint.port
      const first = { isHeld: false, fullLeaseSeconds: 0, knownAs: undefined }
      const client = mapping.client.from(senderOf(endpoint))
      const wish = { ...mapping, ...first, client, external, quirks, openEnds, request, externalPort }
      const lease = await acquireAnywhere(wish, hasGranted ? [] : client.device.alternatives, call)
      hasGranted = true
      return lease
    },
    undo: (request, call) =>
      undoMap({ ...mapping, client: mapping.client.from(senderOf(request.endpoint)), openEnds, request }, call),
    list: (ports, each, call) => listMappings(mapping.client.from(gateway.localAddress), ports, each, call),
    timeoutMs
  }
}

/** The refusals after which another service of the device may succeed. */
const refusedThere: ReadonlySet<string> = new Set([
  'UNSUPPORTED',
  'GATEWAY_FAULT',
  'NOT_AUTHORIZED',
  'MALFORMED_REQUEST'
])

/** Creates a mapping with the chosen service, otherwise with an alternative, which becomes the chosen one. */
async function acquireAnywhere(wish: Wish, alternatives: readonly Service[], call: CallOptions): Promise<Lease> {
  const { client, external } = wish
  const { device } = client
  const chosen = device.connection
  try {
    return await acquire(wish, external.fresh, call)
  } catch (error) {
    call.signal.throwIfAborted()
    if (!isNatError(error) || !refusedThere.has(error.code) || error.mayRemain === true) throw error
    for (const connection of alternatives) {
      const isSame = connection.controlUrl.href === chosen?.controlUrl.href
      if (isSame && error.code !== 'UNSUPPORTED') continue
      client.move({ ...device, connection })
      try {
        return await acquire(wish, external.ask, call)
      } catch (again) {
        client.move(device)
        call.signal.throwIfAborted()
        if (!isNatError(again) || again.mayRemain === true) throw again
      }
    }
    throw error
  }
}

/** Creates or refreshes a mapping. Deletes what it added if it fails or is aborted. */
async function acquire(
  wish: Wish,
  tellExternal: (call: CallOptions) => Promise<ToldAddress>,
  { signal }: CallOptions
): Promise<Lease> {
  signal.throwIfAborted()
  const additions: Addition[] = []
  try {
    const external = await tellExternal({ signal })
    const { isConfused = false } = external
    return grant(wish, external, await tryPorts({ ...wish, isConfused }, additions, { signal }))
  } catch (error) {
    const isUndone = await undoAdditions(wish, additions, signal)
    signal.throwIfAborted()
    throw isUndone || !isNatError(error)
      ? error
      : natError(error.code, error.message, { cause: error, mayRemain: true })
  }
}

function grant(wish: Wish, external: ToldAddress, placed: Placed): Lease {
  const { endpoint } = wish.request
  const { externalPort, leaseSeconds, reading, knownAs } = placed
  const told = typeof reading === 'object' ? reading.leaseSeconds : 0
  const fullLeaseSeconds = Math.max(told, wish.fullLeaseSeconds)
  const held: Wish = { ...wish, externalPort, isHeld: true, fullLeaseSeconds, knownAs }
  const isOff = typeof reading === 'object' && reading.isOff
  const caveat = external.caveat ?? (reading === 'unreadable' ? unreadable : isOff ? switchedOff : undefined)
  let released = false
  return {
    addresses: [formatMultiaddr(external.address, endpoint.protocol, externalPort)],
    lifetimeMs: lifetimeOf(leaseSeconds, reading),
    quirks: wordsOf(wish.quirks),
    ...(caveat === undefined ? {} : { caveat }),
    // Ask for the external address: a renewal is the time to notice a new one.
    renew: (call) => acquire(held, held.external.ask, call),
    async release(call) {
      if (released) return
      await removeEntry(wish.client, { endpoint, externalPort, knownAs, isAdded: true }, call)
      released = true
    }
  }
}
