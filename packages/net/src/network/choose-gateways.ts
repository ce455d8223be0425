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
import { localAddressTowards, type OpenUdp, openUdp } from '../udp/udp.js'

/**
 * Returns the gateways of a family that a strategy should ask: the one that its `gateway` option names, otherwise the
 * next hops of the network. At most four, because each one needs its own sockets. Of a network with routers behind the
 * next hop, all of these.
 *
 * The local address for a named gateway that is not a next hop (another router, or the gateway of a test) comes from
 * the routing table of the kernel. Rejects with `UNREACHABLE` if there is no route to it, or with the signal's reason.
 */
export async function chooseGateways(
  network: Network,
  named: string | undefined,
  family: Family,
  call: CallOptions,
  open: OpenUdp = openUdp
): Promise<readonly Gateway[]> {
  const beyond = network.gateways.filter((each) => each.through !== undefined && familyOf(each.address) === family)
  // The caller has limited these, and a named gateway is one in the network of this host.
  if (beyond.length > 0) return beyond
  const nextHops = network.gateways.filter((gateway) => hasNextHop(gateway) && familyOf(gateway.address) === family)
  if (named === undefined) return boundGateways(nextHops)
  if (familyOf(named) !== family) return []
  const known = nextHops.find(({ address }) => canonicalAddress(address) === canonicalAddress(named))
  if (known !== undefined) return [known]
  const localAddress = await localAddressTowards(named, call, open)
  return [{ address: named, interface: interfaceOf(localAddress) ?? '', localAddress }]
}

/** Returns the name of the interface that has a local address; undefined if none has it. */
export function interfaceOf(localAddress: string): string | undefined {
  const wanted = canonicalAddress(localAddress)
  const holds = ([, held = []]: [string, { address: string }[] | undefined]): boolean =>
    held.some(({ address }) => canonicalAddress(address) === wanted)
  return Object.entries(networkInterfaces()).find(holds)?.[0]
}
