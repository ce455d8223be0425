import type { Multiaddr } from '@multiformats/multiaddr'
import { classOf, type Endpoint, parseMultiaddr } from '@postern/interface'

/** An endpoint at which a libp2p node listens, and the part of its multiaddrs after the port. */
export interface Listening {
  readonly endpoint: Endpoint
  readonly suffix: string
}

/**
 * Returns the endpoints of a node's listening addresses.
 *
 * A listener on a wildcard reports an address for every interface, including loopback. It becomes one endpoint with the
 * wildcard address, which stays valid when the machine moves to another network. Circuit addresses, and others without
 * a port, are skipped.
 */
export function endpointsOf(addresses: readonly Multiaddr[]): readonly Listening[] {
  const groups = new Map<string, Listening[]>()
  for (const address of addresses) {
    const listening = readAddress(address.toString())
    if (listening === undefined) continue
    const { endpoint, suffix } = listening
    const key = [endpoint.protocol, endpoint.family, endpoint.port, suffix].join(' ')
    groups.set(key, [...(groups.get(key) ?? []), listening])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    const isAny = group.length > 1 && group.some(({ endpoint }) => classOf(endpoint.address) === 'loopback')
    if (!isAny || first === undefined) return group
    const { endpoint, suffix } = first
    return [{ endpoint: { ...endpoint, address: endpoint.family === 4 ? '0.0.0.0' : '::' }, suffix }]
  })
}

function readAddress(text: string): Listening | undefined {
  if (text.includes('/p2p-circuit')) return undefined
  const parsed = parseMultiaddr(text)
  if (parsed === undefined || parsed.port === 0) return undefined
  const { protocol, family, address, port, rest } = parsed
  return { endpoint: { protocol, family, address, port }, suffix: rest.replace(/\/p2p\/[^/]+$/, '') }
}
