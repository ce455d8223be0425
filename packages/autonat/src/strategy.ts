import type { Connection, IdentifyResult, PeerUpdate } from '@libp2p/interface'
import { type Discovery, type Finding, natError, type Strategy } from '@postern/interface'
import { peerIdOf } from '@postern/libp2p-utils'
import { createClosers } from './client/closing-servers.js'
import { createDialBacks } from './client/dial-backs.js'
import { createDialDataBudget } from './client/dial-data-budget.js'
import { keepServer } from './client/named-servers.js'
import { createObservedAddresses, type ObservedAddresses } from './client/observed-addresses.js'
import { identifiedSpeaker, storedSpeaker } from './client/server-protocols.js'
import { createWitnessTable, type WitnessTable } from './client/witnesses.js'
import type { AutonatHost } from './host.js'
import { type AutonatOptions, readOptions } from './options.js'

/**
 * Creates the AutoNAT strategy, versions 2 and 1 (libp2p/specs autonat). Connected peers and the peers of the options
 * act as witnesses: they dial an address of this node from outside. The node needs the `identify()` service to learn
 * the protocols of its peers.
 *
 * Throws a TypeError for an invalid option; does nothing else until `discover` is called. `discover` rejects with a
 * TypeError if another service handles the dial back protocol.
 *
 * `verify` of a witness resolves with evidence and reports NO_REPLY, MALFORMED_REPLY, REPLY_TOO_LARGE, WITNESS_REFUSED,
 * WITNESS_UNPROVEN or UNSUPPORTED as the reason of an inconclusive outcome. It rejects with ADDRESS_NOT_ROUTABLE for an
 * address that witnesses cannot dial, or with the signal's reason.
 */
export function autonat(options: AutonatOptions = {}): Strategy<AutonatHost> {
  const settings = readOptions(options)

  return (host: AutonatHost) => {
    // All outlive a discovery: sent bytes still count in the next one, and so does what connected peers have said.
    const budget = createDialDataBudget(host.clock)
    const closers = createClosers(host.clock)
    const observed = createObservedAddresses(host, settings)

    const discovery: Discovery = {
      name: 'autonat',
      kind: 'witness',
      async discover(network, found, { signal }) {
        if (signal.aborted) return
        const dialBacks = createDialBacks(host)
        const tell = (finding: Finding): void => {
          if (!signal.aborted) found(finding)
        }
        const named = new Set(settings.peers.map(peerIdOf))
        const asking = { host, settings, dialBacks, budget, closers, observed, ended: signal }
        const table = createWitnessTable(asking, named, tell)
        const { promise: ended, resolve: end } = Promise.withResolvers<void>()
        // Unregister synchronously: the next discovery may begin before this one has ended.
        const stop = (): void => end(dialBacks.unhandle())
        try {
          signal.addEventListener('abort', stop, { once: true })
          await dialBacks.handle()
          const unwatch = watchPeers(host, table, observed, tell)
          try {
            observed.enter(network)
            observed.all().forEach(tell)
            await table.fill()
            if (table.size === 0) tell({ kind: 'notice', what: 'absent', gateway: null, reason: noWitness() })
            await Promise.all([ended, ...settings.peers.map((peer) => keepServer(host, peer, { signal }))])
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

const noWitness = (): Error & { readonly code: string } =>
  natError('NO_SERVICE', 'no connected peer both speaks AutoNAT and may be asked')

/**
 * Reports connected and lost peers to the table. Uses events, since a topology does not report peers that are already
 * connected, nor which of several connections was lost.
 */
function watchPeers(
  { components: { events } }: AutonatHost,
  table: WitnessTable,
  observed: ObservedAddresses,
  tell: (finding: Finding) => void
): () => void {
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => {
    table.consider(identifiedSpeaker(detail))
    const notice = observed.identified(detail)
    if (notice !== undefined) tell(notice)
  }
  const updated = ({ detail: { peer } }: CustomEvent<PeerUpdate>): void => table.consider(storedSpeaker(peer))
  const closed = ({ detail }: CustomEvent<Connection>): void => {
    observed.closed(detail)
    table.closed(detail)
  }
  events.addEventListener('peer:identify', identified)
  events.addEventListener('peer:update', updated)
  events.addEventListener('connection:close', closed)
  return () => {
    events.removeEventListener('peer:identify', identified)
    events.removeEventListener('peer:update', updated)
    events.removeEventListener('connection:close', closed)
  }
}
