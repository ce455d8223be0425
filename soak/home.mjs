// The program in the home: a server behind expose(), and a libp2p node with the whole ladder. Argument: the addresses
// of two public peers as JSON. It answers each line on standard input with its use of resources, and stops at the end
// of input.
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { autonat } from '@postern/autonat'
import { memoryStore } from '@postern/core'
import { natTraversal } from '@postern/libp2p'
import { natPmp } from '@postern/nat-pmp'
import { expose } from '@postern/node'
import { pcp } from '@postern/pcp'
import { relay } from '@postern/relay'
import { upnp } from '@postern/upnp'
import { createLibp2p } from 'libp2p'

const peers = JSON.parse(process.argv[2])
let unhandled = 0
process.on('unhandledRejection', (error) => {
  unhandled += 1
  console.error(error)
})
process.on('warning', ({ name }) => {
  if (name === 'MaxListenersExceededWarning') warnings += 1
})
let warnings = 0

const server = createServer((_, response) => response.end('here'))
await new Promise((resolve) => server.listen(8080, resolve))
const exposure = await expose(server, { store: memoryStore() })
const node = await createLibp2p({
  addresses: { listen: ['/ip4/0.0.0.0/tcp/4001'] },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    nat: natTraversal({ strategies: [pcp(), natPmp(), upnp(), relay({ relays: peers }), autonat({ peers })] })
  }
})
const meet = () => Promise.allSettled(peers.map((each) => node.dial(multiaddr(each))))
void meet()

const countOf = (types) => process.getActiveResourcesInfo().filter((each) => types.includes(each)).length

async function measure() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { heapUsed, rss } = process.memoryUsage()
  return {
    heapMb: heapUsed / 2 ** 20,
    rssMb: rss / 2 ** 20,
    descriptors: readdirSync('/proc/self/fd').length,
    timers: countOf(['Timeout']),
    sockets: countOf(['TCPSocketWrap', 'UDPWrap', 'UDPWRAP', 'TCPServerWrap', 'TCPSERVERWRAP', 'TCPWRAP']),
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0) + warnings * 100,
    unhandled,
    exposed: exposure.addresses.length,
    announced: node.getMultiaddrs().filter((each) => String(each).startsWith('/ip4/11.')).length
  }
}

const input = createInterface({ input: process.stdin })
input.on('line', (line) => void answer(line))
input.on('close', () => void stop())

async function answer(line) {
  if (line === 'meet') void meet()
  else console.log(JSON.stringify(await measure()))
}

async function stop() {
  const began = performance.now()
  await Promise.all([exposure.close(), node.stop()])
  server.close()
  console.log(JSON.stringify({ stoppedMs: performance.now() - began }))
  process.stdin.destroy()
}

console.log(JSON.stringify({ ready: true }))
