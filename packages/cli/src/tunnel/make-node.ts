import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { autonat } from '@postern/autonat'
import { holePunch } from '@postern/hole-punch'
import type { MultiaddrText, Strategy } from '@postern/interface'
import { type Libp2pHost, type NatTraversal, natTraversal } from '@postern/libp2p'
import { relay } from '@postern/relay'
import { createLibp2p } from 'libp2p'
import { stack } from '../stack.js'

export interface TunnelNodeOptions {
  /** Mappers, in rank order. */
  readonly mappers: readonly Strategy<Libp2pHost>[]
  readonly relays: readonly MultiaddrText[]
  readonly witnesses: readonly MultiaddrText[]
  readonly privateKey: PrivateKey
  /** Whether others are to reach it through the relays, which then hold a place for it. */
  readonly reserves: boolean
}

export type TunnelNode = Libp2p<{ nat: NatTraversal }>

/** What a stream may send before it is read, in bytes: below what libp2p keeps for a stream that is paused (4 MiB). */
const windowBytes = 1024 * 1024

/** A libp2p node at one end of a tunnel, not started. A TypeError where a relay is none. */
export const makeNode = (options: TunnelNodeOptions): Promise<TunnelNode> =>
  createLibp2p({
    ...stack(),
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: windowBytes } })],
    privateKey: options.privateKey,
    start: false,
    addresses: { listen: ['/ip4/0.0.0.0/tcp/0'] },
    transports: [tcp(), webSockets(), circuitRelayTransport()],
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      nat: natTraversal({
        strategies: [
          ...options.mappers,
          ...(options.reserves ? [relay({ relays: options.relays, discover: false })] : []),
          autonat({ peers: options.witnesses }),
          holePunch()
        ]
      })
    }
  })
