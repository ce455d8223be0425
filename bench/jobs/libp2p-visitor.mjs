// A libp2p node outside, connected to nothing. Dials each address that it reads on standard input, one a line, and prints
// whether it got through, as a line of JSON. A connection is authenticated: it leads to the peer of the address.
import { createInterface } from 'node:readline'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const limitMs = 8000

const node = await createLibp2p({
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() }
})
process.stdout.write(`${JSON.stringify({ ready: true })}\n`)

for await (const address of createInterface({ input: process.stdin })) {
  let failure
  try {
    const connection = await node.dial(multiaddr(address), { signal: AbortSignal.timeout(limitMs) })
    await connection.close()
  } catch (error) {
    failure = String(error?.message ?? error).split('\n')[0]
  }
  process.stdout.write(`${JSON.stringify({ address, isThere: failure === undefined, failure })}\n`)
}
process.exit()
