// A host outside. Arguments: claims, each a URL or a multiaddr, as JSON. Prints for each whether it got through.

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { page } from './web-server.mjs'

const claims = JSON.parse(process.argv[2])
const limitMs = 8000

async function visitPage(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(limitMs) })
  return (await response.text()) === page
}

/** A connection is authenticated: it leads to the peer of the address, or there is none. */
async function dial(address) {
  const node = await createLibp2p({
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() }
  })
  try {
    const connection = await node.dial(multiaddr(address), { signal: AbortSignal.timeout(limitMs) })
    return connection.status === 'open'
  } finally {
    await node.stop()
  }
}

const results = await Promise.all(
  claims.map((claim) => (claim.startsWith('/') ? dial(claim) : visitPage(claim)).catch(() => false))
)
console.log(JSON.stringify({ results }))
process.exit()
