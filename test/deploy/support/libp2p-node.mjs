// A libp2p node with natTraversal() and the metrics of libp2p, as a program has them: libp2p-node.mjs <port of the metrics>.
// Prints one line when the port of the node is mapped.
import { createServer } from 'node:http'
import { noise } from '@libp2p/noise'
import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { natTraversal } from '@postern/libp2p'
import { pcp } from '@postern/pcp'
import { createLibp2p } from 'libp2p'
import { Registry } from 'prom-client'

const registry = new Registry()
const node = await createLibp2p({
  addresses: { listen: ['/ip4/0.0.0.0/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  metrics: prometheusMetrics({ registry }),
  services: { nat: natTraversal({ strategies: [pcp()] }) }
})
createServer(async (_, response) => {
  response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics())
}).listen(Number(process.argv[2]), '127.0.0.1')
node.services.nat.addEventListener('mapped', () => console.log('mapped'))
process.on('SIGTERM', () => void node.stop().then(() => process.exit()))
