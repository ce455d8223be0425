import {
  canonicalAddress,
  classOf,
  type Family,
  type Gateway,
  type Host,
  type Mapper,
  natError
} from '@postern/interface'

/** The maximum number of other hosts that are reported for a gateway. Forged answers can name any number. */
const maxStrangers = 4

/** The options of {@link createStrangers}. */
export interface StrangersOptions {
  /** The name of the strategy, as in `--via`. */
  readonly strategy: string
  /** The host of the strategy, for its log. */
  readonly host: Host
  /** The gateway that was asked. */
  readonly gateway: Gateway
  /** The family that the mapper is for. */
  readonly family: Family
  /** All next hops. They are not reported, because the strategy asks each of them itself. */
  readonly others: readonly Gateway[]
  /** Called with a mapper for each other host. */
  readonly found: (mapper: Mapper) => void
}

/**
 * Returns a function that takes the address of a host on the link that claims to map ports and is not the gateway that
 * was asked. Reports each such host once, and four at most, as a mapper that always rejects with `SECONDARY_GATEWAY`;
 * the report then shows the address and how to select it. Sends nothing to the host: the answer may be forged, and the
 * address may belong to any host.
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
      `${strategy}: ${address} claims to map ports, but is not a gateway of this host: --via ${strategy}:${address} asks it`
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
