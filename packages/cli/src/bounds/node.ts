import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import type { Libp2pOptions } from 'libp2p'
import type { Admission, AdmissionLimits } from './admission.js'
import { guardedTransport } from './listener-guard.js'

/** Returns the transports of a node, with limits on their listeners. */
export const boundedTransports = ({ guard }: Admission): NonNullable<Libp2pOptions['transports']> => [
  guardedTransport(tcp(), 'tcp', guard),
  guardedTransport(webSockets(), 'ws', guard)
]

/**
 * Returns limits for libp2p's connection manager that are never reached, so that only those of the admission apply. The
 * limits of libp2p do not consider prefixes, and ten silent sockets exhaust its limit for connections that are not
 * established.
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

/** Room for the connections that the node dials itself: relays, named peers and dial backs. There are far fewer. */
const maxOwnDials = 256

/** The frame limits of a relay. A peer sends one frame for each piece of data, and opens one stream for each relayed
 * connection. */
export const relayFrames: AdmissionLimits['frames'] = { ip: 2000, subnet: 4000, network: 8000, streams: 100 }

/** The limits of a node that is not a server: enough for a home. */
export const homeLimits: AdmissionLimits = {
  connections: { total: 256, network: 128, subnet: 64, ip: 32, peer: 8 },
  handshakes: { total: 64, network: 32, subnet: 16, ip: 8 },
  socketsPerSecond: { total: 50, network: 25, subnet: 20, ip: 10 },
  streams: { total: 4096, network: 2048, subnet: 2048, ip: 1024, peer: 512 },
  frames: { ip: 10_000, subnet: 20_000, network: 40_000, streams: 1000 },
  handshakeTimeoutMs: 5_000
}
