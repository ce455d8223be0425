// Runs inside a lab: `node home.mjs <options of ssh as JSON>`. Reads commands as lines of JSON, and prints what they resolve
// to and what happens as lines of JSON.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { systemClock } from '@postern/interface'
import { ssh } from '@postern/ssh'

const [, , text = '{}'] = process.argv
const { password, ...options } = JSON.parse(text)
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const fresh = () => ({ signal: new AbortController().signal })
const failed = ({ code, message }) => ({ failed: { code, message } })

/** What the host was told of each connection, by the port from which it comes. */
const carried = new Map()
const host = {
  clock: systemClock,
  random: Math.random,
  log: { debug: () => undefined, info: (line) => say({ event: 'log', line }) },
  carried: (each) => carried.set(each.localPort, each)
}
const strategy = ssh({ ...options, ...(password === undefined ? {} : { password: async () => password }) })(host)
const servers = []
const leases = []
let forwarder

/** What a server does with a connection, by its name. */
const applications = {
  /** Answers the hash of everything that it has read, after the end of it, and the client that it was told of. */
  hash(socket) {
    const hash = createHash('sha256')
    const client = carried.get(socket.remotePort)?.client ?? null
    socket.on('data', (bytes) => hash.update(bytes))
    socket.on('end', () => socket.end(JSON.stringify({ hash: hash.digest('hex'), client })))
  },
  echo: (socket) => void socket.pipe(socket),
  /** Never reads. */
  stall: (socket) => void socket.pause()
}

const commands = {
  /** Starts an application and resolves with its port. */
  async listen({ application, address = '127.0.0.1' }) {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: application === 'stall' }, (socket) => {
      socket.on('error', ({ code }) => say({ event: 'cut', code }))
      applications[application](socket)
    })
    server.listen(0, address)
    await once(server, 'listening')
    servers.push(server)
    return { port: server.address().port }
  },
  async discover() {
    await new Promise((resolve, reject) => {
      const found = (finding) => {
        if (finding.kind !== 'forwarder') return say({ event: 'notice', reason: failed(finding.reason) })
        forwarder = finding
        resolve()
      }
      strategy.discover({ gateways: [], addresses: [] }, found, fresh()).catch(reject)
    })
    return { party: forwarder.party }
  },
  async forward({ port, suggested = port, address = '127.0.0.1', limitMs = 30_000 }) {
    if (forwarder === undefined) await commands.discover()
    const startedAt = performance.now()
    const endpoint = { protocol: 'tcp', family: 4, address, port }
    const request = { endpoint, suggestedExternalPort: suggested }
    const lease = await forwarder.forward(request, { signal: AbortSignal.timeout(limitMs) })
    const id = leases.push(lease) - 1
    lease.ended.addEventListener('abort', () => say({ event: 'ended', id, reason: failed(lease.ended.reason) }))
    const { addresses, lifetimeMs } = lease
    return { id, addresses, lifetimeMs, ms: Math.round(performance.now() - startedAt) }
  },
  async renew({ id }) {
    leases[id] = await leases[id].renew(fresh())
    const { addresses, lifetimeMs } = leases[id]
    return { addresses, lifetimeMs }
  },
  async release({ id }) {
    await leases[id].release(fresh())
    return {}
  },
  async rss() {
    globalThis.gc?.()
    return { rss: process.memoryUsage().rss }
  },
  async handles() {
    return { handles: process.getActiveResourcesInfo() }
  }
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { call, command, ...rest } = JSON.parse(line)
  say({ call, ...(await commands[command](rest).catch(failed)) })
})
process.stdin.on('end', () => process.exit())
say({ event: 'ready' })
