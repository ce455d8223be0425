// Runs inside a lab: `node witnessed.mjs udp|tcp <ladder> [<host>] [<port>]`. Exposes a server on port 6000, and prints one
// line of JSON when the witnesses have decided about every address, or after 15 s.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'

const [, , protocol, strategies, host = '0.0.0.0', port = '6000'] = process.argv
const isUdp = protocol === 'udp'
const server = isUdp
  ? createSocket(host === '::' ? 'udp6' : 'udp4').bind(Number(port), host)
  : createServer().listen(Number(port), host)
await once(server, 'listening')
let requests = 0
const sockets = []
if (!isUdp) {
  server.on('request', () => (requests += 1))
  server.on('connection', (socket) => sockets.push(socket))
}
const began = performance.now()
const exposure = await expose(server, { strategies, store: memoryStore() })

const rulings = new Set(['verified', 'refuted'])
const isDecided = () => {
  const { candidates } = exposure.report()
  // No witness is asked about a forward of which only the port is known.
  const asked = candidates.filter(({ address }) => !address.includes('/0.0.0.0/'))
  return asked.length > 0 && asked.every(({ state }) => rulings.has(state))
}
// There is no event for an observed address that was never verified.
while (!isDecided() && performance.now() - began < 15_000) await sleep(20)
const tookMs = performance.now() - began
const { addresses } = exposure
// Witnesses may come before expose() has resolved.
const witnessed = sockets.map(exposure.isWitness)
const { verdict, cause, candidates, advice, strategies: lines } = exposure.report()
await exposure.close()
const left = server.listenerCount('message') + server.listenerCount('connection')
console.log(JSON.stringify({ verdict, cause, candidates, advice, lines, addresses, requests, witnessed, left, tookMs }))
process.exit()
