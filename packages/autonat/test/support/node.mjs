// A libp2p node in a host of a lab: { listen, stock, agent, dial, ask } as JSON; `stock` is the version of js-libp2p's own
// AutoNAT that it has in place of ours. Tells on standard output, one JSON line each, its address, the evidence of every
// witness on every address in `ask`, connections that close, of js-libp2p's AutoNAT v2 the addresses that it takes for
// verified as soon as there are some, and at the end of standard input what the server counted.
import { once } from 'node:events'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { autoNAT } from '@libp2p/autonat'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { autonat, autonatServer } from '@postern/autonat'
import { systemClock } from '@postern/testkit'
import { createLibp2p } from 'libp2p'

const { listen, stock, agent, dial = [], ask = [] } = JSON.parse(process.argv[2])
const say = (value) => console.log(JSON.stringify(value))
const stockServices = { v1: autoNAT, v2: autoNATv2 }
let components
const node = await createLibp2p({
  addresses: { listen: [listen] },
  ...(agent && { nodeInfo: { userAgent: agent } }),
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    autonat: (stockServices[stock] ?? autonatServer)(),
    parts: (parts) => {
      components = parts
      return {}
    }
  }
})
say({ address: `${listen}/p2p/${node.peerId.toString()}` })
node.addEventListener('connection:close', ({ detail }) => say({ closed: detail.remoteAddr.toString() }))
process.stdin.resume()

const end = new AbortController()
const log = { debug: () => undefined, info: () => undefined }
const host = { clock: systemClock, random: Math.random, log, components }
const witnesses = new Map()
const discovering = stock
  ? undefined
  : autonat({ peers: dial })(host).discover(
      { gateways: [], addresses: [] },
      (finding) => {
        if (finding.kind === 'witness') witnesses.set(finding.party.id, finding)
      },
      end
    )
if (stock) for (const peer of dial) await node.dial(multiaddr(peer))
else while (witnesses.size < dial.length) await once(node, 'peer:identify')

for (const address of ask) {
  for (const { party, verify } of witnesses.values()) {
    const { outcome, reason } = await verify(address, { signal: end.signal })
    say({ witness: party.id, address, outcome, reason: reason?.message })
  }
}
if (ask.length > 0) say({ asked: true })

const verified = () =>
  components.addressManager
    .getAddressesWithMetadata()
    .flatMap((each) => (each.verified ? [each.multiaddr.toString()] : []))
if (stock === 'v2') {
  while (verified().length === 0) await once(node, 'self:peer:update')
  say({ verified: verified() })
}

await once(process.stdin, 'end')
say({ counters: node.services.autonat.counters ?? null })
end.abort()
await discovering
await node.stop()
