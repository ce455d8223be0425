import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { autonat } from '@postern/autonat'
import { holePunch } from '@postern/hole-punch'
import { type MultiaddrText, type Strategy, systemClock } from '@postern/interface'
import { type Libp2pHost, type NatTraversal, natTraversal } from '@postern/libp2p'
import { endpointOwners } from '@postern/node'
import { relay } from '@postern/relay'
import { createLibp2p } from 'libp2p'
import { createAdmission } from '../../bounds/admission.js'
import { boundedCircuit } from '../../bounds/circuit.js'
import { forgetPeers } from '../../bounds/forget-peers.js'
import { beyond, boundedTransports, homeLimits } from '../../bounds/node.js'
import { boundedPing } from '../../bounds/ping.js'
import { denyDialMultiaddr, stack } from '../../shared/libp2p-stack.js'
import { peerIdOf } from '../../shared/peers.js'

/** The options of {@link makeNode}. */
export interface TunnelNodeOptions {
  /** The mapping strategies, in rank order. */
  readonly mappers: readonly Strategy<Libp2pHost>[]
  readonly relays: readonly MultiaddrText[]
  readonly witnesses: readonly MultiaddrText[]
  readonly privateKey: PrivateKey
  /** Whether to reserve a place on the relays, so that peers reach the node through them. */
  readonly reserves: boolean
  /** The ids of the peers of the tunnel. Their connections are never closed to make room for others. */
  readonly trusted: ReadonlySet<string>
  /** The name under which the node's mappings are noted for other programs of this host.
   * @default 'postern tunnel' */
  readonly program?: string
  /** Ends the admission. */
  readonly signal: AbortSignal
}

/** A libp2p node with NAT traversal. */
export type TunnelNode = Libp2p<{ nat: NatTraversal }>

/** The receive window of a stream, in bytes: less than libp2p buffers for a paused stream (4 MiB). */
const windowBytes = 1024 * 1024

/** The maximum number of streams of a peer over one connection: one for each tunnel, and those of libp2p. */
const maxStreams = 288

/** Creates a libp2p node for one end of a tunnel, without starting it. Rejects with a TypeError for an invalid
 * relay. */
export async function makeNode(options: TunnelNodeOptions): Promise<TunnelNode> {
  const { trusted, signal } = options
  const admission = createAdmission(homeLimits, systemClock)
  const named = new Set([...options.relays, ...options.witnesses].map(peerIdOf))
  const node = await createLibp2p({
    ...stack({ maxInboundStreams: maxStreams, maxStreamWindowBytes: windowBytes }),
    privateKey: options.privateKey,
    start: false,
    addresses: { listen: ['/ip4/0.0.0.0/tcp/0'] },
    transports: [...boundedTransports(admission), boundedCircuit()],
    connectionGater: { ...admission.gater, denyDialMultiaddr },
    connectionManager: beyond(homeLimits),
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: boundedPing(),
      forgetPeers: forgetPeers({ isKept: (peer) => trusted.has(peer.toString()) || named.has(peer.toString()) }),
      nat: natTraversal({
        owners: endpointOwners({ program: options.program ?? 'postern tunnel' }),
        strategies: [
          ...options.mappers,
          ...(options.reserves ? [relay({ relays: options.relays, discover: false })] : []),
          autonat({ peers: options.witnesses }),
          holePunch()
        ]
      })
    }
  })
  admission.watch(node, ({ remotePeer }) => trusted.has(remotePeer.toString()), signal)
  return node
}
