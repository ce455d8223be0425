// A libp2p node at home. Arguments: `ours`, `stock` or `stock-again`, and the addresses of the public peers as JSON.
// Prints the addresses that it announces on standard output, one JSON line per change, with the time since
// createLibp2p() was called. Every kind dials all peers in the moment in which the node listens over TCP, whatever its
// start() waits for. After the line `quiet` on standard input it prints addresses only when the line `addresses` asks for
// them. Every line is answered with the cost so far.

import { autoNATv2 } from '@libp2p/autonat-v2'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { uPnPNAT } from '@libp2p/upnp-nat'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { autonat } from '@postern/autonat'
import { natTraversal } from '@postern/libp2p'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { relay } from '@postern/relay'
import { upnp } from '@postern/upnp'
import { createLibp2p } from 'libp2p'

const [kind, json] = process.argv.slice(2)
const peers = JSON.parse(json)
const isStock = kind !== 'ours'

const began = performance.now()
const node = await createLibp2p({
  addresses: {
    // The stock relay transport takes named relays as listen addresses.
    listen: ['/ip4/0.0.0.0/tcp/4001', ...(isStock ? peers.slice(0, 2).map((each) => `${each}/p2p-circuit`) : [])]
  },
  // With less concurrency than relays, stock reservations remove each other from the queue, and start() never ends.
  transports: [tcp(), circuitRelayTransport(isStock ? { reservationConcurrency: 2 } : {})],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    ...(isStock
      ? { autoNAT: autoNATv2(), upnp: uPnPNAT() }
      : {
          nat: natTraversal({ strategies: [pcp(), natPmp(), upnp(), relay({ relays: peers.slice(0, 2) }), autonat()] })
        })
  },
  start: false
})
let told = ''
const tell = () => {
  const addresses = node.getMultiaddrs().map(String)
  if (addresses.join() === told) return
  told = addresses.join()
  console.log(JSON.stringify({ ms: performance.now() - began, addresses }))
}
const connect = () => Promise.allSettled(peers.map((each) => node.dial(multiaddr(each))))
const { events } = node.components
const connected = new Promise((resolve) => {
  events.addEventListener('transport:listening', () => resolve(connect()), { once: true })
})
// A relayed address is announced with this event, after its listeners have run.
events.addEventListener('transport:listening', () => setImmediate(tell))
const watching = setInterval(tell, 5)
await node.start()
await connected
// Its AutoNAT asks peers only when they connect: those that connected before the mapping are never asked.
if (kind === 'stock-again') {
  const { addressManager } = node.components
  const isMapped = () => addressManager.getAddressesWithMetadata().some(({ type }) => type === 'ip-mapping')
  while (!isMapped()) await new Promise((resolve) => setTimeout(resolve, 20))
  await Promise.allSettled(node.getPeers().map((each) => node.hangUp(each)))
  await connect()
}
process.stdin.setEncoding('utf8').on('data', (text) => {
  // Reading the addresses costs CPU time: not while the cost of the node is measured.
  if (text.includes('quiet')) clearInterval(watching)
  if (text.includes('addresses')) tell()
  console.log(JSON.stringify({ cpu: process.cpuUsage(), memory: process.memoryUsage() }))
})
process.stdin.on('end', () => {
  clearInterval(watching)
  void node.stop().finally(() => process.exit())
})
