import type { Multiaddr } from '@multiformats/multiaddr'
import { classOf, type Endpoint, parseMultiaddr } from '@postern/interface'

/** Where a libp2p node listens, and what follows the port in its addresses. */
export interface Listening {
  readonly endpoint: Endpoint
  readonly suffix: string
}

/**
 * The endpoints that stand behind the addresses of a node's listeners.
 *
 * Listeners on a wildcard tell an address for every interface, loopback among them; as one endpoint with the wildcard they
 * follow the machine to another network. Circuits and whatever else has no port of its own are passed over.
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
