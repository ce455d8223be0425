import { connect } from 'node:net'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { type CallOptions, type MultiaddrText, parseMultiaddr, type Strategy } from '@postern/interface'
import { natTraversal } from '@postern/libp2p'
import { createLibp2p } from 'libp2p'
import { stack } from '../../shared/libp2p-stack.js'
import { namedPeers } from './named-peers.js'
import { watchMappers } from './neighbourhood/watch-mappers.js'
import { hasGlobalIpv6, type OpenTrial, trialOwners, trialSearchMs, unverifiedAfterMs } from './trial.js'

/**
 * Returns a trial with a libp2p node. The named peers, and no others, are asked to dial its addresses from outside.
 *
 * Throws a TypeError for a peer without an id, or one that cannot be dialled.
 */
export function witnessedTrial(strategies: readonly Strategy[], peers: readonly MultiaddrText[], port = 0): OpenTrial {
  const named = namedPeers(peers)

  return async (network) => {
    const mappers = watchMappers(strategies)
    const node = await createLibp2p({
      ...stack(),
      start: false,
      addresses: { listen: [`/ip4/0.0.0.0/tcp/${port}`, ...(hasGlobalIpv6(network) ? [`/ip6/::/tcp/${port}`] : [])] },
      transports: [tcp(), webSockets()],
      services: {
        identify: identify(),
        nat: natTraversal({
          owners: trialOwners(),
          strategies: [...mappers.strategies, named.strategy],
          policy: { unverifiedAfterMs, searchMs: trialSearchMs }
        })
      }
    })
    const { nat } = node.services

    return {
      addEventListener: nat.addEventListener,
      report: () => nat.report(),
      recheck: () => nat.recheck(),
      settled: () => nat.settled(),
      async start() {
        await node.start()
        named.meet(node)
      },
      mappers: mappers.seen,
      arrives: speaksMultistream,
      port: () => tcpPortOf(node.getMultiaddrs().map(String)),
      witnesses: () => named.named(node),
      async stop() {
        named.stop()
        await node.stop()
      }
    }
  }
}

/** Returns the TCP port of the first address that has one. */
const tcpPortOf = (addresses: readonly string[]): number | undefined =>
  addresses.flatMap((address) => parseMultiaddr(/^\/ip[46]\/[^/]+\/tcp\/\d+/.exec(address)?.[0] ?? '')?.port ?? [])[0]

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
