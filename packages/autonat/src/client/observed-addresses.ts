import type { Connection, IdentifyResult } from '@libp2p/interface'
import {
  type Family,
  familyOf,
  formatMultiaddr,
  type MultiaddrText,
  type Network,
  type ObservedNotice,
  parseMultiaddr
} from '@postern/interface'
import { directRoute, ipOf, routeOf } from '@postern/libp2p-utils'
import type { AutonatHost } from '../host.js'
import type { Settings } from '../options.js'
import { partyOf } from './witness.js'

/** The addresses at which the connected peers see this node, as they say through identify. */
export interface ObservedAddresses {
  /** Records what a peer said. Returns it as a notice; undefined if it is of no use. */
  identified(result: IdentifyResult): ObservedNotice | undefined
  /** Forgets what was said over a connection. */
  closed(connection: Connection): void
  /** Begins a search in a network. Forgets what was said of an IP version if its network has changed: connections of
   * the old network stay open for a while, and what was said over connections that have closed. */
  enter(network: Network): void
  /** Returns the IP address that was named over a connection; undefined if there was none. */
  ipSeenOver(connection: Connection): string | undefined
  /** Returns what was said over the connections that are open. */
  all(): readonly ObservedNotice[]
}

/**
 * Creates the table of observed addresses. It is filled from identify and not from the AddressManager: that never sees an
 * observed address of plain TCP, and does not tell which peer named an address.
 */
export function createObservedAddresses({ components }: AutonatHost, settings: Settings): ObservedAddresses {
  const { connectionManager } = components
  const told = new Map<string, ObservedNotice>()
  const networks = new Map<Family, string>()

  /** Whether a peer is connected at this IP address: it cannot be the address of this node. */
  const isPeers = (ip: string): boolean =>
    connectionManager.getConnections().some(({ remoteAddr }) => ipOf(remoteAddr) === ip)

  return {
    identified({ connection, observedAddr }) {
      const from = directRoute(connection)
      const seen = observedAddr === undefined ? undefined : routeOf(observedAddr)
      if (from === undefined || seen === undefined || seen.port === 0) return undefined
      // A peer in the local network does not see the external address.
      if (!settings.mayAsk(from.host) || !settings.mayVerify(seen.host) || isPeers(seen.host)) return undefined
      const party = partyOf(connection.remotePeer, from, connection.rtt)
      if (party === undefined) return undefined
      const [protocol, ...above] = seen.transport.split('/')
      const plain = formatMultiaddr(seen.host, protocol === 'udp' ? 'udp' : 'tcp', seen.port)
      const address: MultiaddrText = `/${[plain.slice(1), ...above].join('/')}`
      // A peer that dialled this node says which address it dialled. Otherwise it says which source port it saw.
      const isListener = connection.direction === 'inbound'
      const notice: ObservedNotice = { kind: 'notice', what: 'observed', party, address, isListener }
      told.set(connection.id, notice)
      return notice
    },
    closed: ({ id }) => void told.delete(id),
    enter(network) {
      const open = new Set(connectionManager.getConnections().map(({ id }) => id))
      const changed = new Set<Family>()
      for (const family of [4, 6] as const) {
        const before = networks.get(family)
        const now = describe(network, family)
        networks.set(family, now)
        if (before !== undefined && before !== now) changed.add(family)
      }
      for (const [id, { address }] of told) {
        const family = parseMultiaddr(address)?.family
        if (!open.has(id) || (family !== undefined && changed.has(family))) told.delete(id)
      }
    },
    ipSeenOver: ({ id }) => parseMultiaddr(told.get(id)?.address ?? '')?.address,
    all: () => [...told.values()]
  }
}

/** Returns the parts of a network that belong to a family, as text. */
function describe({ gateways, addresses }: Network, family: Family): string {
  const routes = gateways.filter(({ address }) => familyOf(address) === family)
  const own = addresses.filter((address) => familyOf(address) === family).sort()
  return JSON.stringify([
    routes.map(({ address, interface: link, localAddress }) => [address, link, localAddress]),
    own
  ])
}
