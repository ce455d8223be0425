import { autonat } from '@postern/autonat'
import { anySignal, type Finding, isNotice, type MultiaddrText } from '@postern/interface'
import type { Libp2p } from 'libp2p'
import { reasonOf } from '../../shared/libp2p-stack.js'
import { peerIdOf, readDialAddress } from '../../shared/peers.js'
import type { NamedWitness } from './trial.js'
import { notingReasons } from './unclear-answers.js'

/** The time limit for connecting to a named peer, in ms: less than `unverifiedAfterMs` of a trial. */
const dialMs = 5000

/** The libp2p peers that the user named. */
export interface NamedPeers {
  /** The strategy that asks them. */
  readonly strategy: ReturnType<typeof autonat>
  /** Connects a node to them. */
  meet(node: Libp2p): void
  /** Returns what became of each. */
  named(node: Libp2p): readonly NamedWitness[]
  /** Ends the attempts to connect. */
  stop(): void
}

/** Creates the peers that `--peer` names. Throws a TypeError for a peer without an id, or one that cannot be dialled. */
export function namedPeers(peers: readonly MultiaddrText[]): NamedPeers {
  const all = [...new Set(peers)].map((peer) => ({ peer, id: peerIdOf(peer) }))
  const asking = autonat({ peers: all.map(({ peer }) => peer) })
  const failures = new Map<string, string>()
  const witnesses = new Set<string>()
  const reasons = new Map<string, string>()
  const stopping = new AbortController()

  function noting(finding: Finding): Finding {
    if (isNotice(finding) || finding.kind !== 'witness') return finding
    witnesses.add(finding.party.id)
    return notingReasons(finding, reasons)
  }

  async function connect(node: Libp2p, peer: string): Promise<void> {
    const signal = anySignal([stopping.signal, AbortSignal.timeout(dialMs)])
    await node.dial(readDialAddress(peer), { signal }).then(
      () => failures.set(peer, 'the connection was lost'),
      (error: unknown) => failures.set(peer, reasonOf(error))
    )
  }

  return {
    strategy: (host) => {
      const discovery = asking(host)
      return {
        ...discovery,
        discover: (network, found, call) => discovery.discover(network, (each) => found(noting(each)), call)
      }
    },
    meet(node) {
      for (const { peer } of all) void connect(node, peer)
    },
    named: (node) =>
      all.map(({ peer, id }): NamedWitness => {
        const isConnected = node.getConnections().some(({ remotePeer }) => remotePeer.toString() === id)
        const failure = isConnected ? null : (failures.get(peer) ?? 'no answer in time')
        return { option: '--peer', peer, id, failure, isWitness: witnesses.has(id), unclear: reasons.get(id) }
      }),
    stop: () => stopping.abort()
  }
}
