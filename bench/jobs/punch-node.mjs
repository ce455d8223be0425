// A libp2p node in one of two homes. Arguments: `punching` or `relayed`, the port to listen on, and the addresses of
// the public peers as JSON. Prints its events on standard output as JSON lines, and reads `dial <address>`, `hangup
// <peer>`, `echo <peer>` and `send <peer>` from standard input, one per line.
import { createInterface } from 'node:readline'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { autonat } from '@postern/autonat'
import { holePunch } from '@postern/hole-punch'
import { natTraversal } from '@postern/libp2p'
import { relay } from '@postern/relay'
import { createLibp2p } from 'libp2p'

const echoProtocol = '/postern/bench/echo'
const sinkProtocol = '/postern/bench/sink'
const sentBytes = 16 * 1024 * 1024
const chunk = new Uint8Array(64 * 1024)
const echoes = 21
const onAny = { runOnLimitedConnection: true }

const [kind, port, json] = process.argv.slice(2)
const peers = JSON.parse(json)
const say = (line) => console.log(JSON.stringify(line))

const node = await createLibp2p({
  addresses: { listen: [`/ip4/0.0.0.0/tcp/${port}`] },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    nat: natTraversal({
      strategies: [relay({ relays: peers.slice(0, 1) }), autonat(), ...(kind === 'punching' ? [holePunch()] : [])]
    })
  },
  start: false
})
node.addEventListener('connection:open', ({ detail }) =>
  say({
    event: 'connection',
    peerId: detail.remotePeer.toString(),
    address: detail.remoteAddr.toString(),
    direct: !detail.remoteAddr.toString().includes('/p2p-circuit')
  })
)
node.services.nat.addEventListener('upgrade', ({ detail }) => say({ event: 'upgrade', ...detail }))

await node.handle(
  echoProtocol,
  async (stream) => {
    for await (const bytes of stream) stream.send(bytes)
    await stream.close()
  },
  onAny
)
await node.handle(
  sinkProtocol,
  async (stream) => {
    let left = sentBytes
    for await (const bytes of stream) {
      left -= bytes.byteLength
      if (left === 0) stream.send(new Uint8Array(1))
    }
    await stream.close()
  },
  onAny
)
await node.start()
await Promise.allSettled(peers.map((each) => node.dial(multiaddr(each))))
say({ event: 'ready', peerId: node.peerId.toString() })
const watching = setInterval(() => {
  const address = node
    .getMultiaddrs()
    .map(String)
    .find((each) => each.includes('/p2p-circuit'))
  if (address === undefined) return
  clearInterval(watching)
  say({ event: 'relayed', address })
}, 5)

/** Uses the direct connection if there is one. */
async function open(id, protocol) {
  const connections = node.getConnections().filter(({ remotePeer }) => remotePeer.toString() === id)
  const isDirect = ({ remoteAddr }) => !remoteAddr.toString().includes('/p2p-circuit')
  const connection = connections.find(isDirect) ?? connections[0]
  return { direct: isDirect(connection), stream: await connection.newStream(protocol, onAny) }
}

const commands = {
  async dial(address) {
    await node.dial(multiaddr(address))
  },
  async hangup(id) {
    await node.hangUp(node.getPeers().find((each) => each.toString() === id))
  },
  /** Round trips of 32 bytes on one stream; the first one also opens it. */
  async echo(id) {
    const { direct, stream } = await open(id, echoProtocol)
    const answers = stream[Symbol.asyncIterator]()
    const times = []
    for (let index = 0; index < echoes; index++) {
      const began = performance.now()
      stream.send(new Uint8Array(32))
      for (let missing = 32; missing > 0; ) missing -= (await answers.next()).value.byteLength
      times.push(performance.now() - began)
    }
    await stream.close()
    say({ event: 'echo', direct, times: times.slice(1) })
  },
  async send(id) {
    const { direct, stream } = await open(id, sinkProtocol)
    const began = performance.now()
    for (let sent = 0; sent < sentBytes; sent += chunk.byteLength) if (!stream.send(chunk)) await stream.onDrain()
    await stream[Symbol.asyncIterator]().next()
    const ms = performance.now() - began
    await stream.close()
    say({ event: 'send', direct, megabytesPerSecond: sentBytes / 1e6 / (ms / 1000) })
  }
}
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const [name, argument] = line.split(' ')
  commands[name](argument).catch((error) => say({ event: 'failure', name, message: String(error) }))
})
lines.on('close', () => process.exit())
