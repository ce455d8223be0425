// node index.js
//
// A node that already uses @libp2p/upnp-nat keeps it, and gets a client that also speaks PCP and NAT-PMP.
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { uPnPNAT } from '@libp2p/upnp-nat'
import { yamux } from '@libp2p/yamux'
import { portMappingClient } from '@postern/libp2p'
import { createLibp2p } from 'libp2p'

const node = await createLibp2p({
  addresses: { listen: [`/ip4/0.0.0.0/tcp/${process.env.PORT ?? 4001}`] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    // No peer verifies addresses here. If the node has an AutoNAT service, leave autoConfirmAddress out.
    upnp: uPnPNAT({ portMappingClient: portMappingClient(), autoConfirmAddress: true })
  }
})
node.addEventListener('self:peer:update', () => {
  for (const address of node.getMultiaddrs()) console.log(address.toString())
})

// Stopping deletes the mapping.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => node.stop().then(() => process.exit(0)))
