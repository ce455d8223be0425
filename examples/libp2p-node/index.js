// node index.js <address of a public peer>…
//
// A chat between two homes. Each prints its addresses as they are announced. A line that is an address dials it. Every
// other line goes to all connected peers. /report shows how reachable this node is, and why.
import { createInterface } from 'node:readline'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { natTraversal } from '@postern/libp2p'
import { createLibp2p } from 'libp2p'

const protocol = '/postern-chat/1.0.0'
// A relayed connection carries a chat too, although relays may end it after two minutes.
const relayedToo = { runOnLimitedConnection: true }

const node = await createLibp2p({
  addresses: { listen: [`/ip4/0.0.0.0/tcp/${process.env.PORT ?? 4001}`] },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), identifyPush: identifyPush(), nat: natTraversal() }
})

/** The stream to each peer. */
const others = new Map()

async function chat(stream, { remotePeer, remoteAddr, direct }) {
  const messages = lpStream(stream)
  others.set(remotePeer.toString(), messages)
  console.log(direct ? 'direct:' : 'relayed:', remoteAddr.toString())
  try {
    for (;;) console.log('<', new TextDecoder().decode((await messages.read()).subarray()))
  } catch {
    console.log('gone:', remotePeer.toString())
  } finally {
    if (others.get(remotePeer.toString()) === messages) others.delete(remotePeer.toString())
  }
}

let told = ''
node.addEventListener('self:peer:update', () => {
  const addresses = node.getMultiaddrs().map(String)
  if (addresses.join() === told) return
  told = addresses.join()
  for (const address of addresses) console.log('address:', address)
})
node.services.nat.addEventListener('verdict', ({ detail: { verdict, cause } }) =>
  console.log('verdict:', verdict, cause ?? '')
)
await node.handle(protocol, chat, relayedToo)

async function say(line) {
  if (line === '/report') return console.log(JSON.stringify(node.services.nat.report()))
  if (!line.startsWith('/')) {
    await Promise.all([...others.values()].map((messages) => messages.write(new TextEncoder().encode(line))))
    return
  }
  const connection = await node.dial(multiaddr(line))
  await chat(await connection.newStream(protocol, relayedToo), connection)
}

const complain = (error) => console.log('failed:', error.message)
for (const address of process.argv.slice(2)) node.dial(multiaddr(address)).catch(complain)
createInterface({ input: process.stdin }).on('line', (line) => void say(line).catch(complain))

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => node.stop().then(() => process.exit(0)))
