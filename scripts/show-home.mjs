// The program behind the router in `npm start`: an ordinary HTTP server that is made reachable. It reports its progress
// on standard error, writes the final report to standard output, and releases everything when its standard input ends.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'

const [, , port = '8080', gateway] = process.argv
const startedMs = performance.now()
const say = (text) => console.error(`${(performance.now() - startedMs).toFixed(0).padStart(6)} ms  ${text}`)

const server = createServer((_request, response) => response.end('Hello from behind the NAT.\n'))
server.listen(Number(port))
await once(server, 'listening')
say(`a server listens on port ${port}`)

const socket = (each) => `${each.address}:${each.port}`
const exposure = await expose(server, {
  strategies: gateway ? ['pcp', 'nat-pmp', 'upnp'].map((name) => `${name}:${gateway}`).join() : 'any',
  store: memoryStore(),
  on: {
    strategy({ detail: { name, state, tookMs, reason } }) {
      if (tookMs === null) return
      say(
        `${name.padEnd(8)} ${state.padEnd(11)} answered after ${tookMs.toFixed(1)} ms${reason ? `: ${reason.message}` : ''}`
      )
    },
    mapped({ detail: { strategy, internal, external, lifetimeSeconds } }) {
      say(`${strategy.padEnd(8)} mapped      ${socket(internal)} → ${socket(external)} for ${lifetimeSeconds} s`)
    },
    released: ({ detail: { strategy, external } }) => say(`${strategy.padEnd(8)} released    ${socket(external)}`),
    failed: ({ detail: { reasons } }) => say(`nothing worked: ${reasons.map(({ message }) => message).join('; ')}`)
  }
})
// UPnP answers last. Wait for all three.
const pending = () => exposure.report().strategies.some(({ tookMs }) => tookMs === null)
for (let tries = 0; pending() && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 20))
console.log(JSON.stringify(exposure.report()))

process.stdin.resume()
await once(process.stdin, 'end')
await exposure.close()
server.close()
