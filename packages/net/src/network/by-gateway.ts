/** The maximum number of gateways that are remembered. Forged advertisements can name any number. */
const maxGateways = 64

/**
 * Returns a function that returns the value for a gateway address, which `make` creates once. It holds the state that
 * must outlast one search. A new search, after a change of the network for example, must not send to a router that
 * still owes an answer to the previous one, and needs to know how slow the router was. Keeps 64 gateways, and evicts
 * the least recently used one.
 */
export function byGateway<T>(make: () => T): (address: string) => T {
  const known = new Map<string, T>()
  return (address) => {
    const one = known.get(address) ?? make()
    known.delete(address)
    known.set(address, one)
    for (const oldest of known.keys()) {
      if (known.size <= maxGateways) break
      known.delete(oldest)
    }
    return one
  }
}
