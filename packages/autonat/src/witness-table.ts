import type { Connection, PeerId } from '@libp2p/interface'
import { type Finding, type Party, type Witness } from '@postern/interface'
import { type Speaker, storedSpeaker, type Version, versionOf } from './speaker.js'
import { type Asking, createWitness, findConnection, partyOf } from './witness.js'

/** The peers that can be asked at the moment. Bounded, however many there are. */
export interface WitnessTable {
  readonly size: number
  /** Takes a peer in, changes it, or lets it go, by what it speaks now. */
  consider(speaker: Speaker): void
  /** Lets a peer go that is no longer connected. */
  closed(connection: Connection): void
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

  function findVersion(speaker: Speaker): Version | undefined {
    const id = speaker.peerId.toString()
    const version = mute.has(id) ? undefined : versionOf(speaker)
    return version === 1 && asking.closers.has(id) ? undefined : version
  }

  const table: WitnessTable = {
    get size() {
      return entries.size
    },
    consider(speaker) {
      if (asking.ended.aborted) return
      const { peerId } = speaker
      const id = peerId.toString()
      const entry = entries.get(id)
      const version = findVersion(speaker)
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
      const witness = createWitness(asking, { peerId, version, party, lost })
      entries.set(id, { peerId, version, witness })
      found(witness)
    },
    closed(connection) {
      const { remotePeer: peerId } = connection
      asking.closers.closed(connection)
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
      if (hasPlace(party)) await considerStored(peerId)
      else isAnyoneWaiting = true
    }
  }

  async function considerStored(peerId: PeerId): Promise<void> {
    // Where nothing is known of it yet, identify will tell.
    const peer = await peerStore.get(peerId).catch(() => undefined)
    if (peer !== undefined) table.consider(storedSpeaker(peer))
  }

  return table
}

const byPeer = ({ remotePeer }: Connection): readonly [string, PeerId] => [remotePeer.toString(), remotePeer]
