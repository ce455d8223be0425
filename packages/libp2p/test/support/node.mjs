// A libp2p node for tests. One JSON argument configures it. It prints its events as JSON lines on standard output and
// reads commands as JSON lines from standard input: {"id":1,"do":"dial","address":"/ip4/…"}.

import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { uPnPNAT } from '@libp2p/upnp-nat'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { autonat, autonatServer } from '@postern/autonat'
import { holePunch } from '@postern/hole-punch'
import { manual } from '@postern/manual'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { relay } from '@postern/relay'
import { stun } from '@postern/stun'
import { upnp } from '@postern/upnp'
import { createLibp2p } from 'libp2p'
import { natTraversal, portMappingClient } from '../../dist/index.js'
import { resourcesLeft, serveCommands } from './commands.mjs'
import { lying } from './lying-autonat.mjs'

const config = JSON.parse(process.argv[2] ?? '{}')
const began = performance.now()
const say = (line) =>
  process.stdout.write(`${JSON.stringify({ ms: Math.round(performance.now() - began), ...line })}\n`)

const factories = { autonat, 'hole-punch': holePunch, manual, 'nat-pmp': natPmp, pcp, relay, stun, upnp }
const strategies = config.nat?.strategies?.map(([name, options]) => factories[name](options))

const services = { identify: identify(), identifyPush: identifyPush(), ping: ping() }
if (config.relayServer) services.relayServer = circuitRelayServer(config.relayServer)
if (config.autonatServer) services.autonatServer = autonatServer()
if (config.lies) services.lying = lying(config.lies)
if (config.upnpNat) services.upnp = uPnPNAT({ ...config.upnpNat, portMappingClient: portMappingClient() })
if (config.nat) services.nat = natTraversal({ ...config.nat, ...(strategies && { strategies }) })

const transports = [tcp(), webSockets(), circuitRelayTransport()]
// Native code is loaded only by the tests that need it.
if (config.quic) transports.push((await import('@chainsafe/libp2p-quic')).quic())
if (config.webRtc) {
  // No STUN server is needed: the address of the listener is used.
  const { webRTCDirect } = await import('@libp2p/webrtc')
  transports.push(webRTCDirect({ rtcConfiguration: { iceServers: [] } }))
}
if (config.iceServer) {
  const { webRTC } = await import('@libp2p/webrtc')
  transports.push(webRTC({ rtcConfiguration: { iceServers: [{ urls: config.iceServer }] } }))
}

const node = await createLibp2p({
  ...(config.seed && { privateKey: await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(config.seed)) }),
  addresses: { listen: config.listen ?? [], announce: config.announce ?? [] },
  transports,
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services,
  ...(config.monitored === false && { connectionMonitor: { enabled: false } }),
  start: false
})
for (const name of ['mapped', 'renewed', 'changed', 'lost', 'verified', 'refuted', 'failed', 'released', 'verdict']) {
  node.services.nat?.addEventListener(name, ({ detail }) =>
    say(name === 'verdict' ? { event: name, ...detail } : detail)
  )
}
node.services.nat?.addEventListener('upgrade', ({ detail }) => say({ event: 'upgrade', ...detail }))
// The announcement of the node shows when an address can first be dialled.
let told = ''
const tell = () => {
  const addresses = node.getMultiaddrs().map(String)
  if (addresses.join() === told) return
  told = addresses.join()
  say({ event: 'addresses', addresses })
}
await node.start()
say({ event: 'ready', peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) })
const watching = setInterval(tell, 10)
for (const address of config.connect ?? []) {
  node.dial(multiaddr(address)).catch((error) => say({ event: 'not-connected', address, message: String(error) }))
}

const peerOf = (id) => node.getPeers().find((each) => each.toString() === id)
const connectionsOf = (id) => node.getConnections().filter(({ remotePeer }) => remotePeer.toString() === id)
const describe = async (connection, start) => ({
  direct: connection.direct,
  limited: connection.limits !== undefined,
  remoteAddress: connection.remoteAddr.toString(),
  rttMs: await node.services.ping.ping(connection.remotePeer),
  ms: performance.now() - start
})

const commands = {
  async dial({ address }) {
    const start = performance.now()
    return describe(await node.dial(multiaddr(address), { force: true, signal: AbortSignal.timeout(10_000) }), start)
  },
  async direct({ peer }) {
    const start = performance.now()
    return describe(await node.services.nat.direct(peerOf(peer), { signal: AbortSignal.timeout(15_000) }), start)
  },
  connections: async ({ peer }) =>
    connectionsOf(peer).map(({ remoteAddr, limits, direction }) => ({
      address: remoteAddr.toString(),
      limited: limits !== undefined,
      direction
    })),
  ping: async ({ peer }) => node.services.ping.ping(peerOf(peer)),
  addresses: async () => node.getMultiaddrs().map(String),
  report: async () => node.services.nat.report(),
  peers: async () => node.getPeers().map(String),
  listen: async ({ address }) => node.components.transportManager.listen([multiaddr(address)]),
  recheck: async () => node.services.nat.recheck(),
  async stop() {
    clearInterval(watching)
    await node.stop()
    return { resources: await resourcesLeft() }
  }
}

serveCommands(commands, say)
