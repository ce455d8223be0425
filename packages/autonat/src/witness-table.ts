import type { Connection, PeerId } from '@libp2p/interface'
import { type Finding, type Party, type Witness } from '@postern/interface'
import { dialRequestProtocol } from './codec.js'
import { protocolV1 } from './codec-v1.js'
import { type Asking, createWitness, findConnection, partyOf, type Version } from './witness.js'

/** The peers that can be asked at the moment. Bounded, however many there are. */
export interface WitnessTable {
  readonly size: number
  /** Takes a peer in, changes it, or lets it go, by the protocols that it speaks now. */
  consider(peerId: PeerId, protocols: readonly string[]): void
  /** Lets a peer go that is no longer connected. */
  disconnected(peerId: PeerId): void
  /** Looks through all who are connected, as far as there are places. */
  fill(): Promise<void>
}

interface Entry {
  readonly peerId: PeerId
  readonly version: Version
  readonly witness: Witness
}

const mostWitnesses = 64
/** As many peers as one likes can be started in one network. */
const mostPerNetwork = 4

const versionOf = (protocols: readonly string[]): Version | undefined => {
  if (protocols.includes(dialRequestProtocol)) return 2
  return protocols.includes(protocolV1) ? 1 : undefined
}

/** `named` are the peers of the options: their places are kept free, and they are taken in however many are in their
 * network. */
export function createWitnessTable(
  asking: Asking,
  named: ReadonlySet<string>,
  found: (finding: Finding) => void
): WitnessTable {
  const { connectionManager, peerStore } = asking.host.components
  const { mayAsk } = asking.settings
  const entries = new Map<string, Entry>()
  /** Peers that turned out not to speak it, while they are connected: libp2p notes a protocol for whoever opens a stream
   * of it to us, which the clients of a server do. */
  const mute = new Set<string>()
  /** Somebody found no place, and would take one that becomes free. */
  let isAnyoneWaiting = true
  let filling: Promise<void> | undefined

  function hasPlace({ id, network }: Party): boolean {
    if (named.has(id)) return true
    const others = [...entries.values()].filter(({ witness }) => !named.has(witness.party.id))
    const neighbours = others.filter(({ witness }) => witness.party.network === network)
    return others.length < mostWitnesses - named.size && neighbours.length < mostPerNetwork
  }

  /** The party that a peer would be; undefined for one that may not be asked. */
  function findParty(peerId: PeerId): Party | undefined {
    const direct = findConnection(connectionManager.getConnections(peerId), mayAsk)
    return direct && partyOf(peerId, direct.route, direct.connection.rtt)
  }

  function letGo({ peerId, witness }: Entry): void {
    entries.delete(peerId.toString())
    found({ kind: 'notice', what: 'gone', about: witness })
    if (isAnyoneWaiting) void fill()
  }

  const table: WitnessTable = {
    get size() {
      return entries.size
    },
    consider(peerId, protocols) {
      if (asking.ended.aborted) return
      const id = peerId.toString()
      const entry = entries.get(id)
      const version = mute.has(id) ? undefined : versionOf(protocols)
      const party = version && (entry?.witness.party ?? findParty(peerId))
      if (version === undefined || party === undefined) {
        if (entry !== undefined) letGo(entry)
        return
      }
      if (entry?.version === version) return
      if (entry === undefined && !hasPlace(party)) {
        isAnyoneWaiting = true
        return
      }
      const lost = (): void => {
        const now = entries.get(id)
        if (now?.witness !== witness || asking.ended.aborted) return
        mute.add(id)
        letGo(now)
      }
      const witness = createWitness({ ...asking, lost }, peerId, version, party)
      entries.set(id, { peerId, version, witness })
      found(witness)
    },
    disconnected(peerId) {
      const entry = entries.get(peerId.toString())
      if (asking.ended.aborted || findParty(peerId) !== undefined) return
      mute.delete(peerId.toString())
      if (entry !== undefined) letGo(entry)
    },
    fill
  }

  /** One pass at a time: whoever comes later has been looked at, or is told of by identify. */
  function fill(): Promise<void> {
    filling ??= pass().finally(() => {
      filling = undefined
    })
    return filling
  }

  async function pass(): Promise<void> {
    isAnyoneWaiting = false
    for (const peerId of new Map(connectionManager.getConnections().map(byPeer)).values()) {
      if (asking.ended.aborted) return
      const party = entries.has(peerId.toString()) ? undefined : findParty(peerId)
      if (party === undefined) continue
      if (hasPlace(party)) table.consider(peerId, await protocolsOf(peerId))
      else isAnyoneWaiting = true
    }
  }

  async function protocolsOf(peerId: PeerId): Promise<readonly string[]> {
    try {
      return (await peerStore.get(peerId)).protocols
    } catch {
      // Nothing is known of it yet: identify will tell.
      return []
    }
  }

  return table
}

const byPeer = ({ remotePeer }: Connection): readonly [string, PeerId] => [remotePeer.toString(), remotePeer]
