import { networkInterfaces } from 'node:os'
import {
  boundGateways,
  type CallOptions,
  canonicalAddress,
  type Family,
  familyOf,
  type Gateway,
  hasNextHop,
  type Network
} from '@postern/interface'
import { localAddressTowards, type OpenUdp, openUdp } from './udp.js'

/**
 * The gateways that a strategy should ask: the one its `gateway` option names, else the next hops of the network, at most four
 * of a family: each is asked and listened to on sockets of its own.
 *
 * A named gateway that is no next hop (another router, a test's own gateway) is looked up in the kernel's routes.
 * Rejects with `UNREACHABLE` if there is no way to it.
 */
export async function chooseGateways(
  network: Network,
  named: string | undefined,
  family: Family,
  call: CallOptions,
  open: OpenUdp = openUdp
): Promise<readonly Gateway[]> {
  const nextHops = network.gateways.filter((gateway) => hasNextHop(gateway) && familyOf(gateway.address) === family)
  if (named === undefined) return boundGateways(nextHops)
  if (familyOf(named) !== family) return []
  const known = nextHops.find(({ address }) => canonicalAddress(address) === canonicalAddress(named))
  if (known !== undefined) return [known]
  const localAddress = await localAddressTowards(named, call, open)
  return [{ address: named, interface: interfaceOf(localAddress) ?? '', localAddress }]
}

/** The interface that holds a local address. */
export function interfaceOf(localAddress: string): string | undefined {
  const wanted = canonicalAddress(localAddress)
  const holds = ([, held = []]: [string, { address: string }[] | undefined]): boolean =>
    held.some(({ address }) => canonicalAddress(address) === wanted)
  return Object.entries(networkInterfaces()).find(holds)?.[0]
}
