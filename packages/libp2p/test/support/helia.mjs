// A Helia node for tests. One JSON argument configures it, and it prints JSON lines, as node.mjs does. It uses Helia's
// defaults, except for the two services that natTraversal() replaces, and for everything that would contact the
// internet.

import { libp2pDefaults } from '@helia/libp2p'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { tcp } from '@libp2p/tcp'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { createHelia } from 'helia'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { natTraversal } from '../../dist/index.js'
import { resourcesLeft, serveCommands } from './commands.mjs'
import { ownTimersLeft } from './own-timers.mjs'

const config = JSON.parse(process.argv[2] ?? '{}')
const began = performance.now()
const say = (line) =>
  process.stdout.write(`${JSON.stringify({ ms: Math.round(performance.now() - began), ...line })}\n`)

const libp2p = libp2pDefaults()
libp2p.addresses = { listen: config.listen ?? libp2p.addresses.listen }
const rtcConfiguration = { iceServers: [] }
libp2p.transports = [
  circuitRelayTransport(),
  tcp(),
  webRTC({ rtcConfiguration }),
  webRTCDirect({ rtcConfiguration }),
  webSockets()
]
libp2p.peerDiscovery = []
delete libp2p.services.delegatedPeerRouting
delete libp2p.services.delegatedContentRouting
if (config.nat) {
  delete libp2p.services.upnp
  delete libp2p.services.autoNAT
  delete libp2p.services.dcutr
  libp2p.services.nat = natTraversal(config.nat)
}

const helia = createHelia({ libp2p })
await helia.start()
const node = helia.libp2p
const tell = () => node.getMultiaddrs().map(String)
node.addEventListener('self:peer:update', () => say({ event: 'addresses', addresses: tell() }))
for (const name of ['mapped', 'verified', 'refuted', 'lost', 'failed', 'released', 'verdict']) {
  node.services.nat?.addEventListener(name, ({ detail }) =>
    say(name === 'verdict' ? { event: name, ...detail } : detail)
  )
}
say({ event: 'ready', peerId: node.peerId.toString(), addresses: tell() })
for (const address of config.connect ?? []) {
  node.dial(multiaddr(address)).catch((error) => say({ event: 'not-connected', address, message: String(error) }))
}

const commands = {
  addresses: async () => tell(),
  report: async () => node.services.nat.report(),
  async add({ text }) {
    const bytes = new TextEncoder().encode(text)
    const cid = CID.createV1(raw.code, await sha256.digest(bytes))
    await helia.blockstore.put(cid, bytes)
    return cid.toString()
  },
  async fetch({ cid, from }) {
    await node.dial(multiaddr(from))
    const parts = []
    for await (const part of helia.blockstore.get(CID.parse(cid), { signal: AbortSignal.timeout(15_000) })) {
      parts.push(part)
    }
    return Buffer.concat(parts).toString()
  },
  async stop() {
    const before = ownTimersLeft()
    await helia.stop()
    const resources = await resourcesLeft()
    return { resources, timers: { before, left: ownTimersLeft() } }
  }
}

serveCommands(commands, say)
