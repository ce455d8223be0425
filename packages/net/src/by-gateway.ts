/** Gateways that are remembered. Forged advertisements can name any number. */
const maxGateways = 64

/**
 * Returns what is made for a gateway, by its address: the same for each search. What lasts beyond a search belongs there. A
 * search that begins anew, after a change of the network for example, must not ask a router that has not answered the one
 * before, and knows how slow the router was. Of more than 64 gateways, the one that was not asked for longest is forgotten.
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
