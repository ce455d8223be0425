import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Family, isGlobal, networkPrefixOf } from '@postern/interface'
import { isDirect, relayOf } from '@postern/libp2p-utils'
import { type Target, targetOf } from '../dial/targets.js'
import type { HolePunchComponents } from '../host.js'

/** A peer that reports the external address of a connection, as identify does for every connection. */
export interface PortObserver {
  readonly peer: PeerId
  readonly target: Target
  readonly network: string
}

/** How many observers are used: two on different networks suffice, and the others replace those that do not answer. */
const maxObservers = 4

/**
 * Returns the peers that can observe a port. The relay of this connection comes first, since it is connected and near
 * to both sides; then other peers that this node has dialled, with those on other networks first.
 */
export async function findObservers(
  components: HolePunchComponents,
  relayed: Connection | undefined,
  family: Family | undefined
): Promise<readonly PortObserver[]> {
  const relay = relayed && relayOf(relayed)
  const direct = components.connectionManager.getConnections().filter(isDirect)
  const ordered = [
    ...direct.filter(({ remotePeer }) => remotePeer.toString() === relay),
    ...direct.filter(({ direction, remotePeer }) => direction === 'outbound' && remotePeer.toString() !== relay)
  ]
  const observers = new Map<string, PortObserver>()
  for (const connection of ordered) {
    if (observers.size >= maxObservers) break
    const { remotePeer } = connection
    const target = await findTarget(components, connection, family)
    if (target === undefined || observers.has(remotePeer.toString())) continue
    observers.set(remotePeer.toString(), {
      peer: remotePeer,
      target,
      network: networkPrefixOf(target.host) ?? target.host
    })
  }
  const [first, ...others] = [...observers.values()]
  if (first === undefined) return []
  const isNear = ({ network }: PortObserver): boolean => network === first.network
  return [first, ...others.filter((each) => !isNear(each)), ...others.filter(isNear)]
}

/** Returns the address at which the peer accepts plain TCP: the dialled one, or one that it reports. */
async function findTarget(
  { peerStore }: HolePunchComponents,
  { direction, remoteAddr, remotePeer }: Connection,
  family: Family | undefined
): Promise<Target | undefined> {
  const fits = (address: Multiaddr): Target | undefined => {
    const target = targetOf(address.bytes)
    return family === undefined || target?.family === family ? target : undefined
  }
  const dialled = direction === 'outbound' ? fits(remoteAddr) : undefined
  if (dialled !== undefined) return dialled
  const known = await peerStore.get(remotePeer).catch(() => undefined)
  const here = targetOf(remoteAddr.bytes)?.host
  const told = known?.addresses.flatMap(({ multiaddr }) => fits(multiaddr) ?? []) ?? []
  // Prefer the host of the connection, where the peer certainly is. Other reported addresses may belong to third
  // parties.
  return told.find(({ host }) => host === here) ?? told.find(({ host }) => isGlobal(host))
}
