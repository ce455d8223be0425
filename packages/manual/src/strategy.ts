import {
  canonicalAddress,
  classOf,
  type Discovery,
  type Endpoint,
  type Family,
  familyOf,
  formatMultiaddr,
  isGlobal,
  type Lease,
  type Mapper,
  type NatError,
  type Network,
  natError,
  type Strategy
} from '@postern/interface'
import { type Forward, type ManualOptions, readOptions } from './options.js'

/**
 * A forward made by hand. Nothing is asked of the router, so what it says is a claim until a witness has verified it.
 *
 * Throws a TypeError for an option that can be no forward. An address that is one, but that the internet cannot reach
 * (private, carrier-grade, this host's own private one), is reported with `ADDRESS_NOT_ROUTABLE` when discovered.
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

/** The forward of an address. Throws if it cannot be right. */
function named(address: string, forward: Forward, network: Network): Mapper {
  if (!isGlobal(address)) throw notRoutable(address, network)
  return mapperFor(address, forward.family ?? 4, forward)
}

/** The forward of a port alone: to every global address that this host has itself. */
function own(forward: Forward, network: Network): readonly Mapper[] {
  const global = network.addresses.filter(isGlobal)
  const families = ([4, 6] as const).flatMap((family) => {
    const address = global.find((each) => familyOf(each) === family)
    return address === undefined ? [] : [mapperFor(address, family, forward)]
  })
  if (families.length > 0) return families
  throw natError(
    'EXTERNAL_ADDRESS_UNKNOWN',
    `port ${forward.port} was forwarded, but at which address? None of this host's own is public`
  )
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

/** What was made by hand neither lapses nor can be given back from here. */
function leaseOf(address: string, port: number, { protocol }: Endpoint): Lease {
  const lease: Lease = {
    addresses: [formatMultiaddr(address, protocol, port)],
    lifetimeMs: Number.POSITIVE_INFINITY,
    renew: async ({ signal }) => {
      signal.throwIfAborted()
      return lease
    },
    release: async () => undefined
  }
  return lease
}
