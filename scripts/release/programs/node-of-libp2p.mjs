// A libp2p node that has the service and ends again.
import { strict as assert } from 'node:assert'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { natTraversal } from '@postern/libp2p'
import { pcp } from '@postern/pcp'
import { createGateway, listen } from '@postern/testkit'
import { createLibp2p } from 'libp2p'

const gateway = createGateway({ externalAddress: '11.0.0.2' })
const { address, close } = await listen(gateway)
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), nat: natTraversal({ strategies: [pcp({ gateway: address })] }) }
})
assert.equal(node.services.nat.report().schemaVersion, 1)
await node.stop()
await close()
console.log('a node with the service')
// On Deno the process of a stopped libp2p node goes on, also without our service.
if ('Deno' in globalThis) process.exit()
