import type { Connection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import type { RelayComponents } from '../../src/index.js'
import { hopProtocol } from '../../src/wire/hop.js'
import { startNode } from '../support/nodes.js'

export interface Crowd {
  readonly components: RelayComponents
  readonly clock: VirtualClock
  readonly disconnect: (id: string) => void
  /**
   * Makes peer routing return this number of peers with addresses, none of them a relay, and many without an address.
   */
  readonly walkable: (count: number) => void
  readonly dialled: () => number
  /** The addresses that every peer of peer routing reports. */
  readonly addressed: (addresses: readonly string[]) => void
  readonly dialledAddresses: readonly string[]
}

/** A fake node that is connected to this number of relays, each on its own network. It uses no real network. */
export async function simulated(count: number): Promise<Crowd> {
  // The parts that are not simulated are those of a real node.
  const { components } = await startNode()
  const clock = virtualClock()
  const peers = new Map(Array.from({ length: count }, (_, index) => [`relay-${index}`, connectionTo(index)]))
  const events = new EventTarget()
  let walkable = 0
  let dials = 0
  let addresses: readonly string[] = ['/ip4/11.0.0.1/tcp/1']
  const dialledAddresses: string[] = []
  const ofPeer = (peer?: PeerId): readonly unknown[] =>
    [...peers.values()].filter(({ remotePeer }) => peer === undefined || remotePeer.toString() === peer.toString())
  const dial = async (told: readonly unknown[]): Promise<never> => {
    dialledAddresses.push(...told.map(String))
    throw new Error(`${++dials}`)
  }
  const simulation = {
    ...components,
    peerId: components.peerId,
    transportManager: components.transportManager,
    events,
    connectionManager: { getConnections: ofPeer, openConnection: dial },
    peerStore: { get: async () => ({ protocols: [hopProtocol], addresses: [], metadata: new Map() }) },
    randomWalk: {
      async *walk({ signal }: { signal: AbortSignal }) {
        for (let index = 0; index < walkable && !signal.aborted; index++) {
          await new Promise((resolve) => setImmediate(resolve))
          const multiaddrs = walkable === Number.POSITIVE_INFINITY ? [] : addresses.map((each) => multiaddr(each))
          yield { id: peerCalled(`stranger-${index}`), multiaddrs }
          // More peers without an address than a walk examines.
          if (walkable === Number.POSITIVE_INFINITY && index === 100) await forEver(signal)
        }
      }
    }
  }
  return {
    components: simulation as unknown as RelayComponents,
    clock,
    disconnect(id) {
      const detail = peers.get(id)
      peers.delete(id)
      events.dispatchEvent(new CustomEvent('connection:close', { detail }))
    },
    walkable: (number) => {
      walkable = number
    },
    dialled: () => dials,
    addressed(all) {
      addresses = all
    },
    dialledAddresses
  }
}

const forEver = async (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

function peerCalled(id: string): PeerId {
  return { toString: () => id, equals: (other: unknown) => String(other) === id } as unknown as PeerId
}

const connectionTo = (
  index: number
): Pick<Connection, 'remotePeer' | 'remoteAddr' | 'direction' | 'direct' | 'status'> => {
  const connection = {
    remotePeer: peerCalled(`relay-${index}`),
    remoteAddr: multiaddr(`/ip4/11.${index >> 8}.${index & 255}.1/tcp/4001`),
    direction: 'outbound',
    direct: true,
    status: 'open',
    rtt: index
  } as const
  return connection
}
