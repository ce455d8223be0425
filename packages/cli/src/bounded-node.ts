import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import type { Libp2pOptions } from 'libp2p'
import type { Admission, AdmissionLimits } from './admission.js'
import { guardedTransport } from './listener-guard.js'

/** The transports of a node whose listeners are bounded. */
export const boundedTransports = ({ guard }: Admission): NonNullable<Libp2pOptions['transports']> => [
  guardedTransport(tcp(), 'tcp', guard),
  guardedTransport(webSockets(), 'ws', guard)
]

/**
 * Returns limits of libp2p that are never reached, so that ours are the ones that count: libp2p's know no prefixes, and
 * ten sockets that say nothing reach the one for connections that are not established yet.
 */
export const beyond = ({
  connections,
  handshakes,
  handshakeTimeoutMs
}: AdmissionLimits): NonNullable<Libp2pOptions['connectionManager']> => ({
  maxConnections: connections.total + handshakes.total + maxOwnDials,
  maxIncomingPendingConnections: handshakes.total + 1,
  inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
  inboundUpgradeTimeout: handshakeTimeoutMs,
  inboundStreamProtocolNegotiationTimeout: handshakeTimeoutMs
})

/** Connections that a node dials itself. */
const maxOwnDials = 256

/** For a relay. A peer sends it a frame for each piece of data, and opens a stream for each connection that is relayed. */
export const relayFrames: AdmissionLimits['frames'] = { ip: 2000, subnet: 4000, network: 8000, streams: 100 }

/** For a node that is no server: what a home needs, and not more. Streams and connections of a peer are the caller's. */
export const homeLimits: AdmissionLimits = {
  connections: { total: 256, network: 128, subnet: 64, ip: 32, peer: 8 },
  handshakes: { total: 64, network: 32, subnet: 16, ip: 8 },
  socketsPerSecond: { total: 50, network: 25, subnet: 20, ip: 10 },
  streams: { total: 4096, network: 2048, subnet: 2048, ip: 1024, peer: 512 },
  frames: { ip: 10_000, subnet: 20_000, network: 40_000, streams: 1000 },
  handshakeTimeoutMs: 5_000
}
