// A libp2p node in a host of a lab. Its argument is JSON: { listen, plain, stock, agent, dial, ask }. With
// `plain`, it listens nowhere itself, and asks about a plain server at that port. With `stock`, the node uses that version of js-libp2p's own AutoNAT instead of ours. It prints one JSON line for each of these: its address,
// the evidence of every witness about every address in `ask`, closed connections, the addresses that js-libp2p's
// AutoNAT v2 considers verified, and, at the end of standard input, the counters of the server.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { autoNAT } from '@libp2p/autonat'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { autonat, autonatServer } from '@postern/autonat'
import { systemClock } from '@postern/testkit'
import { createLibp2p } from 'libp2p'

const { listen, plain, stock, agent, dial = [], ask = [] } = JSON.parse(process.argv[2])
const say = (value) => console.log(JSON.stringify(value))
const stockServices = { v1: autoNAT, v2: autoNATv2 }
let components
const node = await createLibp2p({
  addresses: { listen: plain ? [] : [listen] },
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
const host = { clock: systemClock, random: Math.random, log, components, ...(plain && lendPlain()) }
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

/** Listens on the plain port, and lends what arrives there. */
function lendPlain() {
  const server = createServer((socket) => socket.on('error', () => undefined).end()).listen(plain, '0.0.0.0')
  server.unref()
  return {
    arrivals(_at, each, { signal }) {
      const told = ({ remoteAddress, remotePort, localAddress, localPort }) =>
        each({ protocol: 'tcp', remoteAddress, remotePort, localAddress, localPort, recognize: () => undefined })
      server.on('connection', told)
      signal.addEventListener('abort', () => server.off('connection', told))
    }
  }
}

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
