import type { Connection, PeerId } from '@libp2p/interface'
import { type Finding, type RemoteParty, type Witness } from '@postern/interface'
import { type Speaker, storedSpeaker, type Version, versionOf } from './server-protocols.js'
import { type Asking, createWitness, findConnection, partyOf } from './witness.js'

/** The peers that can be asked now. Its size is limited, however many peers are connected. */
export interface WitnessTable {
  readonly size: number
  /** Adds, updates or removes a peer according to its current protocols. */
  consider(speaker: Speaker): void
  /** Removes the peer of a closed connection if no other suitable connection to it is left. */
  closed(connection: Connection): void
  /** Considers every connected peer while there are free places. */
  fill(): Promise<void>
}

interface Entry {
  readonly peerId: PeerId
  readonly version: Version
  readonly witness: Witness
}

/** How many peers are witnesses at a time, with the named ones. A verification asks a few of them. */
const maxWitnesses = 64
/** One operator can start any number of peers in one network. */
const maxPerNetwork = 4

/** Creates the table. `named` are the peers of the options; their places are reserved, without a limit per network. */
export function createWitnessTable(
  asking: Asking,
  named: ReadonlySet<string>,
  found: (finding: Finding) => void
): WitnessTable {
  const { connectionManager, peerStore } = asking.host.components
  const { mayAsk } = asking.settings
  const entries = new Map<string, Entry>()
  /**
   * Connected peers that answered that they do not speak the protocol. libp2p records a protocol for every peer that
   * opens a stream of it, including clients of our server.
   */
  const mute = new Set<string>()
  /** Whether a peer found no free place and is waiting for one. */
  let isPeerWaiting = true
  let filling: Promise<void> | undefined

  function hasPlace({ id, network }: RemoteParty): boolean {
    if (named.has(id)) return true
    const others = [...entries.values()].filter(({ witness }) => !named.has(witness.party.id))
    const neighbours = others.filter(({ witness }) => witness.party.network === network)
    return others.length < maxWitnesses - named.size && neighbours.length < maxPerNetwork
  }

  /** Returns the party of a peer; undefined if the peer may not be asked. */
  function findParty(peerId: PeerId): RemoteParty | undefined {
    const direct = findConnection(connectionManager.getConnections(peerId), mayAsk)
    return direct && partyOf(peerId, direct.route, direct.connection.rtt)
  }

  function remove({ peerId, witness }: Entry): void {
    entries.delete(peerId.toString())
    found({ kind: 'notice', what: 'gone', about: witness })
    if (isPeerWaiting) void fill()
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
        if (entry !== undefined) remove(entry)
        return
      }
      if (entry?.version === version) return
      if (entry === undefined && !hasPlace(party)) {
        isPeerWaiting = true
        return
      }
      const lost = (): void => {
        const now = entries.get(id)
        if (now?.witness !== witness || asking.ended.aborted) return
        mute.add(id)
        remove(now)
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
      if (entry !== undefined) remove(entry)
    },
    fill
  }

  /** Joins a running pass: identify reports each peer that connects during the pass. */
  function fill(): Promise<void> {
    filling ??= pass().finally(() => {
      filling = undefined
    })
    return filling
  }

  async function pass(): Promise<void> {
    isPeerWaiting = false
    for (const peerId of new Map(connectionManager.getConnections().map(byPeer)).values()) {
      if (asking.ended.aborted) return
      const party = entries.has(peerId.toString()) ? undefined : findParty(peerId)
      if (party === undefined) continue
      if (hasPlace(party)) await considerStored(peerId)
      else isPeerWaiting = true
    }
  }

  async function considerStored(peerId: PeerId): Promise<void> {
    // An unknown peer is considered when identify completes.
    const peer = await peerStore.get(peerId).catch(() => undefined)
    if (peer !== undefined) table.consider(storedSpeaker(peer))
  }

  return table
}

const byPeer = ({ remotePeer }: Connection): readonly [string, PeerId] => [remotePeer.toString(), remotePeer]
