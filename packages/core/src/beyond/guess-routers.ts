import { classOf, type Gateway, type Network } from '@postern/interface'
import { subnetOf } from '../discovery/endpoints.js'

/** The maximum number of addresses that are tried. */
const maxGuesses = 16
/** The last octets that routers have in their own networks. */
const lastOctets = ['1', '254'] as const
/** The addresses with which routers are sold, for a next hop that does not tell its true external address. */
const common: readonly string[] = [
  '192.168.0.1',
  '192.168.1.1',
  '192.168.1.254',
  '192.168.0.254',
  '192.168.2.1',
  '192.168.8.1',
  '192.168.10.1',
  '192.168.86.1',
  '192.168.100.1',
  '192.168.178.1',
  '10.0.0.1',
  '10.0.0.138',
  '10.1.1.1',
  '10.1.10.1',
  '172.16.0.1',
  '100.64.0.1'
]

/**
 * Returns where the router behind a next hop may be: the addresses that routers usually have in the network of the
 * external address. Leaves out the networks of this host: an address there belongs to the next hop or to a neighbour.
 *
 * @param external - the external address of the next hop, private or carrier-grade; undefined if it does not tell it
 */
export function guessRouters(nextHop: Gateway, external: string | undefined, network: Network): readonly Gateway[] {
  const own = [...network.addresses, ...network.gateways.flatMap((each) => [each.address, each.localAddress])]
  const ownNetworks = new Set(own.map(subnetOf))
  const addresses = external === undefined ? common : guessesAround(external)
  return addresses
    .filter((address) => address !== external && !ownNetworks.has(subnetOf(address)))
    .slice(0, maxGuesses)
    .map((address) => ({
      address,
      interface: nextHop.interface,
      localAddress: nextHop.localAddress,
      through: { gateway: nextHop, ...(external === undefined ? {} : { clientAddress: external }) }
    }))
}

/** A network of a provider may be larger than the last octet shows, so its first address is tried too. */
function guessesAround(external: string): readonly string[] {
  const near = lastOctets.map((octet) => `${subnetOf(external)}.${octet}`)
  return classOf(external) === 'carrier-grade' ? [...new Set([...near, '100.64.0.1'])] : near
}
