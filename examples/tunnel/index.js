// node index.js listen <port> <address of a public peer>…
// node index.js connect <port> <address of a public peer>…
//
// A TCP service of one home, used from another. Into `listen`, type the ids of the peers that may use the service on
// <port>. Into `connect`, type an address that `listen` prints: then <port> here is that service. The connection is
// direct if possible, and relayed otherwise.
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { natTraversal } from '@postern/libp2p'
import { createLibp2p } from 'libp2p'
import { cutAll, join } from './join.js'

const [role, port, ...peers] = process.argv.slice(2)
const protocol = '/postern-example-tunnel/1.0.0'
const relayedToo = { runOnLimitedConnection: true }
const local = { host: '127.0.0.1', port: Number(port), allowHalfOpen: true }

const node = await createLibp2p({
  addresses: { listen: ['/ip4/0.0.0.0/tcp/0'] },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), identifyPush: identifyPush(), nat: natTraversal() }
})

const allowed = new Set()
const complain = (error) => console.log('failed:', error.message)
const serve = (stream, { remotePeer }) => {
  if (allowed.has(remotePeer.toString())) return join(connect(local), stream)
  stream.abort(new Error('not allowed'))
  console.log('refused:', remotePeer.toString())
}
async function offer(address) {
  const relayed = await node.dial(multiaddr(address))
  const direct = node.services.nat.direct(relayed.remotePeer, { signal: AbortSignal.timeout(10_000) })
  const best = await direct.catch((error) => complain(error) ?? relayed)
  const refuse = (socket) => () => socket.resetAndDestroy()
  const carry = (socket) =>
    void best.newStream(protocol, relayedToo).then((stream) => join(socket, stream), refuse(socket))
  createServer({ allowHalfOpen: true, pauseOnConnect: true }, carry).listen(local.port, local.host, () =>
    console.log(best.limits === undefined ? 'direct:' : 'relayed:', best.remoteAddr.toString())
  )
}

if (role === 'listen') await node.handle(protocol, serve, relayedToo)
node.addEventListener('self:peer:update', () => console.log('addresses:', node.getMultiaddrs().join(' ')))
console.log('id:', node.peerId.toString())
for (const address of peers) node.dial(multiaddr(address)).catch(complain)
const take = async (line) => (role === 'listen' ? allowed.add(line) : offer(line))
createInterface({ input: process.stdin }).on('line', (line) => void take(line).catch(complain))
function stop() {
  cutAll(new Error('interrupted'))
  node.stop().then(() => process.exit(0))
}
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, stop)
