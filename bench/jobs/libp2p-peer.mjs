// A public libp2p node: relay and AutoNAT server. Arguments: its address, a number for its key, and whether its relay
// is `stock` or `generous`, with limits that a bench does not reach.

import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { autonatServer } from '@postern/autonat'
import { createLibp2p } from 'libp2p'

const [address, seed, relays] = process.argv.slice(2)
const generous = { defaultDataLimit: 1n << 40n, defaultDurationLimit: 3_600_000 }
const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(Number(seed))),
  addresses: { listen: [address], announce: [address] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionMonitor: { enabled: false },
  services: {
    identify: identify(),
    // In every round another peer comes from the same address.
    relay: circuitRelayServer({ reservations: { maxReservations: 10_000, ...(relays === 'generous' && generous) } }),
    autonat: autonatServer({ requestsPerMinute: 10_000 })
  }
})
console.log(JSON.stringify({ address: node.getMultiaddrs()[0].toString() }))
process.stdin.resume()
process.stdin.on('end', () => process.exit())
