import {
  canonicalAddress,
  classOf,
  type Family,
  type Gateway,
  type Host,
  type Mapper,
  natError
} from '@postern/interface'

/** Hosts besides a gateway that are told of. Forged answers can name any number. */
const maxStrangers = 4

export interface StrangersOptions {
  /** Of the strategy, as the user names it with `--via`. */
  readonly strategy: string
  readonly host: Host
  /** The gateway that was asked. */
  readonly gateway: Gateway
  readonly family: Family
  /** Next hops: each is asked by itself. */
  readonly others: readonly Gateway[]
  readonly found: (mapper: Mapper) => void
}

/**
 * Returns a function that is told the address of a host of the link which maps, or says so, and is not the gateway that was
 * asked. Each is found once, four at most, as a mapper that maps nothing: core tells its address and how to name it. It has
 * not been asked anything, since its answer may be forged, and the address that of any host.
 */
export function createStrangers(options: StrangersOptions): (address: string) => void {
  const { strategy, host, gateway, family, others, found } = options
  const strangers = new Set<string>()
  return (text) => {
    const address = canonicalAddress(text)
    if (address === undefined || strangers.has(address) || strangers.size >= maxStrangers) return
    const kind = classOf(address)
    if (kind !== 'private' && kind !== 'link-local') return
    if (others.some((other) => [other.address, other.localAddress].map(canonicalAddress).includes(address))) return
    strangers.add(address)
    host.log.info(
      `${strategy}: ${address} says that it maps ports, and is no gateway of this host: --via ${strategy}:${address} asks it`
    )
    found(strangerAt({ address, interface: gateway.interface, localAddress: gateway.localAddress }, family))
  }
}

const strangerAt = (gateway: Gateway, family: Family): Mapper => ({
  kind: 'mapper',
  gateway,
  family,
  protocols: ['tcp', 'udp'],
  async map(_request, { signal }) {
    signal.throwIfAborted()
    throw natError('SECONDARY_GATEWAY', `${gateway.address} is not the next hop, and is used only if it is named`)
  }
})
