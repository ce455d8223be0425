import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { autonat } from '@postern/autonat'
import { holePunch } from '@postern/hole-punch'
import { type MultiaddrText, type Strategy, systemClock } from '@postern/interface'
import { type Libp2pHost, type NatTraversal, natTraversal } from '@postern/libp2p'
import { endpointOwners } from '@postern/node'
import { relay } from '@postern/relay'
import { createLibp2p } from 'libp2p'
import { boundedPing } from '../bounded-ping.js'
import { createAdmission } from '../admission.js'
import { boundedCircuit } from '../bounded-circuit.js'
import { beyond, boundedTransports, homeLimits } from '../bounded-node.js'
import { forgetPeers } from '../forget-peers.js'
import { peerIdOf } from '../peers.js'
import { denyDialMultiaddr, stack } from '../stack.js'

export interface TunnelNodeOptions {
  /** Mappers, in rank order. */
  readonly mappers: readonly Strategy<Libp2pHost>[]
  readonly relays: readonly MultiaddrText[]
  readonly witnesses: readonly MultiaddrText[]
  readonly privateKey: PrivateKey
  /** Whether others are to reach it through the relays, which then hold a place for it. */
  readonly reserves: boolean
  /** Peers that the tunnel is for, by id: their connections are never closed for those of strangers. */
  readonly trusted: ReadonlySet<string>
  /** Ends the watch over what comes in. */
  readonly signal: AbortSignal
}

export type TunnelNode = Libp2p<{ nat: NatTraversal }>

/** What a stream may send before it is read, in bytes: below what libp2p keeps for a stream that is paused (4 MiB). */
const windowBytes = 1024 * 1024

/** Streams that a peer may open over one connection: a tunnel each, and what libp2p asks. */
const maxStreams = 288

/** A libp2p node at one end of a tunnel, not started. A TypeError where a relay is none. */
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
        owners: endpointOwners({ program: 'postern tunnel' }),
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
