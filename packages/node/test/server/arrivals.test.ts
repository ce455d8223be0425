import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server, createSecureServer } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { systemHost } from '@postern/core'
import type { Arrival, Evidence, Finding, Witness } from '@postern/interface'
import { witness } from '@postern/witness'
import { createWitnessServer } from '@postern/witness/server'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createArrivals, type ExposableServer, withArrivals } from '../../src/index.js'

/** The loopback address of the witness, which differs from that of the server. macOS has only 127.0.0.1. */
const witnessHost = '127.0.0.9'
const skip = process.platform === 'darwin' ? 'this system has one loopback address only' : undefined

/** Binds a server, and has a witness verify its port. */
async function verified(
  server: ExposableServer,
  bind: () => unknown
): Promise<Evidence & { isWitness: (socket: object) => boolean }> {
  bind()
  await once(server, 'listening')
  const witnessServer = createWitnessServer({ mayDial: () => true, hostAddresses: () => [] })
  onTestFinished(async () => {
    server.close()
    await witnessServer.close()
  })
  const { port } = await witnessServer.listen(0, witnessHost)
  const arrivals = createArrivals(server)
  const anywhere = (): boolean => true
  const strategy = witness({ servers: [`http://${witnessHost}:${port}`], mayAsk: anywhere, mayVerify: anywhere })
  const end = new AbortController()
  onTestFinished(() => end.abort())
  const first = Promise.withResolvers<Witness>()
  const discovery = strategy(withArrivals(systemHost, arrivals))
  const take = (finding: Finding): void => {
    if (finding.kind === 'witness') first.resolve(finding)
  }
  discovery.discover({ gateways: [], addresses: [] }, take, end).catch(first.reject)
  const bound = server.address()
  const own = typeof bound === 'object' && bound !== null ? bound.port : 0
  const protocol = 'bind' in server ? 'udp' : 'tcp'
  const evidence = await (await first.promise).verify(`/ip4/127.0.0.1/${protocol}/${own}`, end)
  return { ...evidence, isWitness: arrivals.isWitness }
}

/** Without a certificate, every handshake fails, as that of a witness does. */
const servers: readonly (readonly [string, () => Server])[] = [
  ['net', () => createServer()],
  ['http', () => createHttpServer()],
  ['http2', () => createHttp2Server()],
  ['tls', () => createTlsServer()],
  ['https', () => createHttpsServer()],
  ['http2 over TLS', () => createSecureServer()]
]

describe.skipIf(skip !== undefined)(`arrivals are proof${skip === undefined ? '' : `: ${skip}`}`, () => {
  it.each(servers)(
    'a witness verifies the port of a server of %s, and leaves no connection and no listener',
    async (kind, create) => {
      const server = create()
      const before = server.listenerCount('connection')
      const seen: string[] = []
      for (const name of ['request', 'secureConnection', 'error']) server.on(name, () => seen.push(name))
      const failures: object[] = []
      for (const name of ['clientError', 'tlsClientError'])
        server.on(name, (_error: unknown, socket: object) => failures.push(socket))
      const sockets: object[] = []
      server.on('connection', (socket) => sockets.push(socket))
      const closed = new Promise((resolve) => server.once('connection', (socket) => socket.once('close', resolve)))
      const { outcome, reason, isWitness } = await verified(server, () => server.listen(0, '127.0.0.1'))
      expect([outcome, reason]).toEqual(['reachable', undefined])
      // The next one: `once` above is gone by now.
      expect(server.listenerCount('connection')).toBe(before + 1)
      await closed
      expect(seen).toEqual([])
      expect(sockets.map(isWitness)).toEqual([true])
      expect(failures.length > 0).toBe(kind.includes('tls') || kind.includes('https') || kind.includes('TLS'))
      expect(failures.map(isWitness)).toEqual(failures.map(() => true))
    }
  )

  it('a witness verifies a server on :: by the IPv4 address of its connection', async () => {
    const server = createServer((socket) => socket.end())
    expect((await verified(server, () => server.listen(0, '::'))).outcome).toBe('reachable')
  })

  it.each(['udp4', 'udp6'] as const)('a witness verifies the port of a socket of %s', async (type) => {
    const socket = createSocket(type)
    const { outcome, reason } = await verified(socket, () => socket.bind(0, type === 'udp4' ? '127.0.0.1' : '::'))
    expect([outcome, reason]).toEqual(['reachable', undefined])
    expect(socket.listenerCount('message')).toBe(0)
  })
})

describe('createArrivals', () => {
  it('the listener hears a connection before the application does, and no connection after the signal', async () => {
    const order: string[] = []
    const server = createServer(() => order.push('application'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const bound = server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0
    const { arrivals, isWitness } = createArrivals(server)
    const end = new AbortController()
    const heard: Arrival[] = []
    const hear = (arrival: Arrival): void => {
      order.push('arrival')
      heard.push(arrival)
    }
    arrivals({ protocol: 'tcp', port }, hear, end)
    arrivals({ protocol: 'tcp', port: port === 1 ? 2 : 1 }, () => order.push('another port'), end)
    arrivals({ protocol: 'udp' }, () => order.push('another protocol'), end)
    const visit = async (): Promise<object> => {
      const [[socket]] = await Promise.all([once(server, 'connection'), visitor(port)])
      return socket
    }
    const first = await visit()
    expect(order).toEqual(['arrival', 'application'])
    expect(heard).toMatchObject([
      { protocol: 'tcp', remoteAddress: '127.0.0.1', localAddress: '127.0.0.1', localPort: port }
    ])
    expect(isWitness(first)).toBe(false)
    heard[0]?.recognize()
    expect(isWitness(first)).toBe(true)
    end.abort()
    expect(isWitness(await visit())).toBe(false)
    expect(order).toEqual(['arrival', 'application', 'application'])
  })
})

async function visitor(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}

it.each([undefined, null, 5, 'x'])('isWitness is false for %s', (socket) => {
  expect(createArrivals(createServer()).isWitness(socket as never)).toBe(false)
})
