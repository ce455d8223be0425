import {
  type CallOptions,
  formatMultiaddr,
  type Gateway,
  type Lease,
  type Mapper,
  type MapRequest
} from '@postern/interface'
import { createExternalAddress, type ExternalAddress, type ExternalAddressOptions } from './external-address.js'
import { lifetimeOf } from './lease-time.js'
import { type Addition, createQuirks, type Quirks, reservedPort } from './port-addition.js'
import { removeEntry } from './port-entry.js'
import { type Placed, tryPorts } from './port-tries.js'
import { undoChanges } from './undo.js'

export interface PortMapping extends ExternalAddressOptions {
  readonly description: string
  /** An entry was gone before its time: the router has started again, or lost its list. */
  readonly forgot: () => void
}

/** A mapping that is wanted. */
export interface Wish extends PortMapping {
  readonly external: ExternalAddress
  readonly quirks: Quirks
  readonly request: MapRequest
  /** The external port to try first. */
  readonly externalPort: number
  /** It was granted, and its time has not run out. */
  readonly isHeld: boolean
  /** The lease that the router's list told when the mapping was made, in seconds; 0 where it told none. */
  readonly fullLeaseSeconds: number
  /** What the router calls this host, where that is no address. */
  readonly knownAs: string | undefined
}

/** Maps IPv4 ports on one device. */
export function createPortMapper(gateway: Gateway, mapping: PortMapping): Mapper {
  const external = createExternalAddress(mapping)
  const quirks = createQuirks()
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
      const first = { isHeld: false, fullLeaseSeconds: 0, knownAs: undefined }
      const client = mapping.client.from(endpoint.address)
      const wish = { ...mapping, ...first, client, external, quirks, request, externalPort }
      return acquire(wish, external.fresh, call)
    }
  }
}

/** Makes or refreshes a mapping. Whatever it added is taken back if it fails or is aborted. */
async function acquire(
  wish: Wish,
  tellExternal: (call: CallOptions) => Promise<string>,
  { signal }: CallOptions
): Promise<Lease> {
  signal.throwIfAborted()
  const { client, host } = wish
  const additions: Addition[] = []
  try {
    const external = await tellExternal({ signal })
    return grant(wish, external, await tryPorts(wish, additions, { signal }))
  } catch (error) {
    await undoChanges(host.clock, additions, ({ externalPort }, reply, call) => {
      const added = (reply === undefined ? undefined : reservedPort(reply)) ?? externalPort
      return removeEntry(client, wish.request.endpoint, added, wish.knownAs, call)
    })
    signal.throwIfAborted()
    throw error
  }
}

function grant(wish: Wish, external: string, placed: Placed): Lease {
  const { endpoint } = wish.request
  const { externalPort, leaseSeconds, reading, knownAs } = placed
  const told = typeof reading === 'object' ? reading.leaseSeconds : 0
  const fullLeaseSeconds = Math.max(told, wish.fullLeaseSeconds)
  const held: Wish = { ...wish, externalPort, isHeld: true, fullLeaseSeconds, knownAs }
  let released = false
  return {
    addresses: [formatMultiaddr(external, endpoint.protocol, externalPort)],
    lifetimeMs: lifetimeOf(leaseSeconds, reading),
    // Renewing is how a new address is noticed.
    renew: (call) => acquire(held, held.external.ask, call),
    async release(call) {
      if (released) return
      await removeEntry(wish.client, endpoint, externalPort, knownAs, call)
      released = true
    }
  }
}
