import type { Connection, IdentifyResult, PeerId, PeerUpdate } from '@libp2p/interface'
import { agentVersionOf, isDialledDirectly } from '@postern/libp2p-utils'
import type { RelayComponents } from '../host.js'
import { hopProtocol } from '../wire/hop.js'
import { isByAddress } from './network.js'

/** Enough to choose from. The number of relays that connect on their own is otherwise unlimited. */
const maxStrangers = 32

/** What `watchPeers` reports. */
export interface PeerEvents {
  /** A peer that this node has dialled serves as a relay, or is configured as one. */
  readonly came: (connection: Connection) => void
  /** A reported peer is no longer connected or no longer serves as a relay. */
  readonly went: (peer: string) => void
  /** A relay has dialled this node. The port of such a connection does not show where the relay listens. */
  readonly called: (peer: PeerId) => void
}

/**
 * Reports connected peers that serve as relays until the signal aborts. Resolves when the peers connected now have been
 * seen.
 */
export async function watchPeers(
  { peerId, connectionManager, peerStore, events }: RelayComponents,
  isNamed: (peer: string) => boolean,
  { came, went, called }: PeerEvents,
  signal: AbortSignal
): Promise<void> {
  const known = new Set<string>()
  /** Known peers for which identify has not completed. */
  const unheard = new Set<string>()
  let isFilling = false

  const isFull = (): boolean => [...known].filter((each) => !isNamed(each)).length >= maxStrangers

  function consider(peer: PeerId, protocols: readonly string[]): void {
    const id = peer.toString()
    if (signal.aborted || peer.equals(peerId)) return
    unheard.delete(id)
    const connections = connectionManager.getConnections(peer)
    const connection = connections.find(isDialledDirectly)
    if (!protocols.includes(hopProtocol) || connection === undefined) {
      if (known.delete(id)) went(id)
      if (protocols.includes(hopProtocol) && connections.some(({ status }) => status === 'open')) called(peer)
      return
    }
    if (known.has(id) || (isFull() && !isNamed(id))) return
    known.add(id)
    came(connection)
  }

  /** Reports a configured relay before identify has completed, which saves a few round trips. */
  function opened(connection: Connection): void {
    const id = connection.remotePeer.toString()
    const isSure = isNamed(id) && isDialledDirectly(connection) && isByAddress(connection)
    if (!isSure || known.has(id) || signal.aborted || connection.remotePeer.equals(peerId)) return
    known.add(id)
    unheard.add(id)
    came(connection)
  }

  async function fill(): Promise<void> {
    if (isFilling) return
    isFilling = true
    for (const connection of connectionManager.getConnections()) {
      if (signal.aborted) break
      const { remotePeer } = connection
      if (known.has(remotePeer.toString()) || (isFull() && !isNamed(remotePeer.toString()))) continue
      const peer = await peerStore.get(remotePeer).catch(() => undefined)
      // Its protocols are those of negotiated streams, until identify has completed.
      const isUnidentified = peer === undefined || agentVersionOf(peer) === undefined
      if (isUnidentified && isNamed(remotePeer.toString())) opened(connection)
      else if (peer !== undefined) consider(remotePeer, peer.protocols)
    }
    isFilling = false
  }

  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => consider(detail.peerId, detail.protocols)
  const open = ({ detail }: CustomEvent<Connection>): void => opened(detail)
  const updated = ({ detail: { peer } }: CustomEvent<PeerUpdate>): void => {
    if (unheard.has(peer.id.toString())) return
    if (peer.protocols.includes(hopProtocol) !== known.has(peer.id.toString())) consider(peer.id, peer.protocols)
  }
  const closed = ({ detail: { remotePeer } }: CustomEvent<Connection>): void => {
    const id = remotePeer.toString()
    if (!known.has(id) || connectionManager.getConnections(remotePeer).some(isDialledDirectly)) return
    const wasFull = isFull()
    known.delete(id)
    unheard.delete(id)
    went(id)
    if (wasFull) void fill()
  }
  events.addEventListener('connection:open', open)
  events.addEventListener('peer:identify', identified)
  events.addEventListener('peer:update', updated)
  events.addEventListener('connection:close', closed)
  signal.addEventListener(
    'abort',
    () => {
      events.removeEventListener('connection:open', open)
      events.removeEventListener('peer:identify', identified)
      events.removeEventListener('peer:update', updated)
      events.removeEventListener('connection:close', closed)
    },
    { once: true }
  )
  await fill()
}
