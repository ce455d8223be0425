import { connect } from 'node:net'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { autonat } from '@postern/autonat'
import { anySignal, type CallOptions, type Finding, type MultiaddrText, type Strategy } from '@postern/interface'
import { natTraversal } from '@postern/libp2p'
import { createLibp2p } from 'libp2p'
import { reasonOf, stack } from '../../shared/libp2p-stack.js'
import { peerIdOf, readDialAddress } from '../../shared/peers.js'
import {
  hasGlobalIpv6,
  type NamedWitness,
  type OpenTrial,
  trialOwners,
  trialSearchMs,
  unverifiedAfterMs
} from './trial.js'

/** The time limit for connecting to a named peer, in ms: less than {@link unverifiedAfterMs}. */
const dialMs = 5000

/**
 * Returns a trial with a libp2p node. The named peers, and no others, are asked to dial its addresses from outside.
 *
 * Throws a TypeError for a peer without an id, or one that cannot be dialled.
 */
export function witnessedTrial(strategies: readonly Strategy[], peers: readonly MultiaddrText[], port = 0): OpenTrial {
  const named = [...new Set(peers)].map((peer) => ({ peer, id: peerIdOf(peer) }))
  const asking = autonat({ peers: named.map(({ peer }) => peer) })

  return async (network) => {
    const failures = new Map<string, string>()
    const witnesses = new Set<string>()
    const witness: typeof asking = (host) => {
      const discovery = asking(host)
      return {
        ...discovery,
        discover(where, found, call) {
          const note = (finding: Finding): void => {
            if (finding.kind === 'witness') witnesses.add(finding.party.id)
            found(finding)
          }
          return discovery.discover(where, note, call)
        }
      }
    }
    const stopping = new AbortController()
    const node = await createLibp2p({
      ...stack(),
      start: false,
      addresses: { listen: [`/ip4/0.0.0.0/tcp/${port}`, ...(hasGlobalIpv6(network) ? [`/ip6/::/tcp/${port}`] : [])] },
      transports: [tcp(), webSockets()],
      services: {
        identify: identify(),
        nat: natTraversal({
          owners: trialOwners(),
          strategies: [...strategies, witness],
          policy: { unverifiedAfterMs, searchMs: trialSearchMs }
        })
      }
    })
    const { nat } = node.services

    async function meet({ peer }: { readonly peer: string }): Promise<void> {
      const signal = anySignal([stopping.signal, AbortSignal.timeout(dialMs)])
      await node.dial(readDialAddress(peer), { signal }).then(
        () => failures.set(peer, 'the connection was lost'),
        (error: unknown) => failures.set(peer, reasonOf(error))
      )
    }

    return {
      addEventListener: nat.addEventListener,
      report: () => nat.report(),
      recheck: () => nat.recheck(),
      settled: () => nat.settled(),
      async start() {
        await node.start()
        for (const each of named) void meet(each)
      },
      arrives: speaksMultistream,
      witnesses: () =>
        named.map(({ peer, id }): NamedWitness => {
          const isConnected = node.getConnections().some(({ remotePeer }) => remotePeer.toString() === id)
          const failure = isConnected ? null : (failures.get(peer) ?? 'no answer in time')
          return { option: '--peer', peer, id, failure, isWitness: witnesses.has(id) }
        }),
      async stop() {
        stopping.abort()
        await node.stop()
      }
    }
  }
}

/** The first message of a libp2p connection, which the other side repeats (libp2p/specs, multistream-select). */
const greeting = '\u0013/multistream/1.0.0\n'

/** Resolves to whether a libp2p node answers at an address. The node emits no event for a connection that is never
 * secured. */
function speaksMultistream(host: string, port: number, { signal }: CallOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const over = new AbortController()
    const end = (outcome: boolean) => (): void => {
      over.abort()
      socket.destroy()
      resolve(outcome)
    }
    socket.once('connect', () => socket.write(greeting))
    socket.once('data', (data) => end(data.toString('latin1').startsWith(greeting))())
    for (const name of ['error', 'close']) socket.once(name, end(false))
    signal.addEventListener('abort', end(false), { signal: over.signal })
  })
}
