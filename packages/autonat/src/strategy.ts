import type { Connection, IdentifyResult, PeerUpdate } from '@libp2p/interface'
import { type Discovery, type Finding, natError, type Strategy } from '@postern/interface'
import { createClosers } from './closers.js'
import { createDialBacks } from './dial-backs.js'
import { createDialDataBudget } from './dial-data.js'
import type { AutonatHost } from './host.js'
import { keepConnected, peerIdOf } from './named-peers.js'
import { type AutonatOptions, readOptions } from './options.js'
import { identifiedSpeaker, storedSpeaker } from './speaker.js'
import { createWitnessTable, type WitnessTable } from './witness-table.js'

/**
 * AutoNAT, versions 2 and 1 (libp2p/specs autonat): peers that are connected, and those that are named, try an address
 * of ours from outside. The node needs `identify()`, which is how it learns what its peers speak.
 *
 * Throws a TypeError for a bad option; does nothing else until `discover` is called. `discover` rejects with a TypeError
 * where another service handles the protocol that servers dial back with.
 */
export function autonat(options: AutonatOptions = {}): Strategy<AutonatHost> {
  const settings = readOptions(options)

  return (host: AutonatHost) => {
    // What was sent stays sent, and who closes connections does, when a discovery ends and the next begins.
    const budget = createDialDataBudget(host.clock)
    const closers = createClosers(host.clock)

    const discovery: Discovery = {
      name: 'autonat',
      kind: 'witness',
      async discover(_network, found, { signal }) {
        if (signal.aborted) return
        const dialBacks = createDialBacks(host)
        const tell = (finding: Finding): void => {
          if (!signal.aborted) found(finding)
        }
        const named = new Set(settings.peers.map(peerIdOf))
        const asking = { host, settings, dialBacks, budget, closers, ended: signal }
        const table = createWitnessTable(asking, named, tell)
        const { promise: ended, resolve: end } = Promise.withResolvers<void>()
        // At once and not a turn later: the next discovery may begin before this one has ended.
        const stop = (): void => end(dialBacks.unhandle())
        try {
          signal.addEventListener('abort', stop, { once: true })
          await dialBacks.handle()
          const unwatch = watchPeers(host, table)
          try {
            await table.fill()
            if (table.size === 0) tell({ kind: 'notice', what: 'absent', gateway: null, reason: nobody() })
            await Promise.all([ended, ...settings.peers.map((peer) => keepConnected(host, peer, { signal }))])
          } finally {
            unwatch()
          }
        } finally {
          signal.removeEventListener('abort', stop)
        }
      }
    }
    return discovery
  }
}

const nobody = (): Error & { readonly code: string } =>
  natError('NO_SERVICE', 'no peer is connected that speaks AutoNAT and may be asked')

/** Tells the table who comes and goes. Events and not a topology: those are not told of a peer that is connected
 * already, nor which connection of several was lost. */
function watchPeers({ components: { events } }: AutonatHost, table: WitnessTable): () => void {
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => table.consider(identifiedSpeaker(detail))
  const updated = ({ detail: { peer } }: CustomEvent<PeerUpdate>): void => table.consider(storedSpeaker(peer))
  const closed = ({ detail }: CustomEvent<Connection>): void => table.closed(detail)
  events.addEventListener('peer:identify', identified)
  events.addEventListener('peer:update', updated)
  events.addEventListener('connection:close', closed)
  return () => {
    events.removeEventListener('peer:identify', identified)
    events.removeEventListener('peer:update', updated)
    events.removeEventListener('connection:close', closed)
  }
}
