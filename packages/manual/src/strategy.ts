import {
  canonicalAddress,
  classOf,
  type Discovery,
  type Endpoint,
  type Family,
  familyOf,
  formatMultiaddr,
  isGlobal,
  isWildcard,
  type Lease,
  type Mapper,
  type NatError,
  type Network,
  natError,
  type Strategy
} from '@postern/interface'
import { type Forward, type ManualOptions, readOptions } from './options.js'

/**
 * Creates a strategy for a port that was forwarded by hand. It does not ask the router, so the address is only a claim
 * until a witness has verified it.
 *
 * Throws a TypeError for invalid options. `discover` rejects with `ADDRESS_NOT_ROUTABLE` for an address that the
 * internet cannot reach (private, carrier-grade, or a private address of this host). If only a port is given and this
 * host has no public address, the lease names `0.0.0.0`, and its `caveat` is `EXTERNAL_ADDRESS_UNKNOWN`.
 */
export function manual(options: ManualOptions): Strategy {
  const forward = readOptions(options)
  return (): Discovery => ({
    name: 'manual',
    kind: 'mapper',
    async discover(network, found, { signal }) {
      signal.throwIfAborted()
      const mappers = forward.address === undefined ? own(forward, network) : [named(forward.address, forward, network)]
      for (const mapper of mappers) found(mapper)
    }
  })
}

/** Returns the mapper for a forwarded address. Throws `ADDRESS_NOT_ROUTABLE` if the internet cannot reach it. */
function named(address: string, forward: Forward, network: Network): Mapper {
  if (!isGlobal(address)) throw notRoutable(address, network)
  return mapperFor(address, forward.family ?? 4, forward)
}

/** Returns the mappers for a forwarded port without an address: one for a global address of this host in each family.
 * Behind a NAT, the external IPv4 address is the one that remote parties see: the lease leaves it open. */
function own(forward: Forward, network: Network): readonly Mapper[] {
  const global = network.addresses.filter(isGlobal)
  return ([4, 6] as const).flatMap((family) => {
    const address = global.find((each) => familyOf(each) === family)
    if (address !== undefined) return [mapperFor(address, family, forward)]
    return family === 4 ? [mapperFor('0.0.0.0', family, forward)] : []
  })
}

function notRoutable(address: string, { addresses }: Network): NatError {
  const ours = addresses.some((each) => canonicalAddress(each) === canonicalAddress(address))
  const what = ours ? "this host's own address in the local network" : `a ${classOf(address)} address`
  return natError('ADDRESS_NOT_ROUTABLE', `${address} is ${what}: the internet cannot reach it`)
}

function mapperFor(address: string, family: Family, forward: Forward): Mapper {
  return {
    kind: 'mapper',
    gateway: null,
    isClaim: true,
    family,
    protocols: forward.protocols,
    async map({ endpoint }, { signal }) {
      signal.throwIfAborted()
      if (endpoint.family !== family || !forward.protocols.includes(endpoint.protocol)) {
        throw new TypeError(`the forward is not for ${endpoint.protocol} over IPv${endpoint.family}`)
      }
      return leaseOf(address, forward.port, endpoint)
    }
  }
}

/** Returns a lease that never expires. Releasing it does nothing, because the forward was made by hand. */
function leaseOf(address: string, port: number, { protocol }: Endpoint): Lease {
  const caveat = natError(
    'EXTERNAL_ADDRESS_UNKNOWN',
    `port ${port} is forwarded, but no external address is given and this host has no public address`
  )
  const lease: Lease = {
    addresses: [formatMultiaddr(address, protocol, port)],
    ...(isWildcard(address) ? { caveat } : {}),
    lifetimeMs: Number.POSITIVE_INFINITY,
    renew: async ({ signal }) => {
      signal.throwIfAborted()
      return lease
    },
    release: async () => undefined
  }
  return lease
}
