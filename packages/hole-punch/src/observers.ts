import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Family, isGlobal, networkOf } from '@postern/interface'
import type { HolePunchComponents } from './host.js'
import { isDirect, relayOf } from './relayed.js'
import { type Target, targetOf } from './targets.js'

/** A peer that tells from where a connection comes, as identify does for every connection. */
export interface PortObserver {
  readonly peer: PeerId
  readonly target: Target
  readonly network: string
}

/** More are not asked, whatever happens. */
const mostObservers = 4

/**
 * Whom a port can be shown to: the relay of this connection first, since it is there and is nearest to both, then other
 * peers that this node has dialled, on other networks first.
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
    if (observers.size >= mostObservers) break
    const { remotePeer } = connection
    const target = await findTarget(components, connection, family)
    if (target === undefined || observers.has(remotePeer.toString())) continue
    observers.set(remotePeer.toString(), { peer: remotePeer, target, network: networkOf(target.host) ?? target.host })
  }
  const [first, ...others] = [...observers.values()]
  if (first === undefined) return []
  const isNear = ({ network }: PortObserver): boolean => network === first.network
  return [first, ...others.filter((each) => !isNear(each)), ...others.filter(isNear)]
}

/** Where the peer takes plain TCP: where it was dialled, or what it says itself. */
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
  // It is there: of all that it tells, that host is the one that answers. Whatever else it names could be anybody's.
  return told.find(({ host }) => host === here) ?? told.find(({ host }) => isGlobal(host))
}
