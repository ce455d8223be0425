import { once } from 'node:events'
import { createServer as createHttpServer, get, type IncomingMessage } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { CarriedConnection, Host } from '@postern/interface'
import { createCarrier } from '@postern/net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Client, createClients } from '../../src/server/clients.js'

const party = { id: 'vps:22', network: '203.0.0.0/16' }

async function bound(server: Server, address = '127.0.0.1'): Promise<number> {
  server.listen(0, address)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const place = server.address()
  return typeof place === 'object' && place !== null ? place.port : 0
}

/** A server of another host whose connections are carried to a port of this one. */
async function forwarded(
  port: number,
  carried: (connection: CarriedConnection) => void,
  client: CarriedConnection['client'],
  address = '127.0.0.1'
): Promise<number> {
  const host: Pick<Host, 'carried' | 'log' | 'clock'> = {
    carried,
    log: { debug: () => undefined, info: () => undefined },
    clock: { monotonicMs: () => 0, wallMs: () => 0, sleep: () => new Promise(() => undefined) }
  }
  const family = address.includes(':') ? 6 : 4
  const carrier = createCarrier({ host, party, endpoint: { protocol: 'tcp', family, address, port } })
  onTestFinished(() => carrier.close())
  const front = createServer({ allowHalfOpen: true }, (stream) => carrier.carry({ stream, client }))
  return bound(front)
}

describe('the client of a connection', () => {
  it('is the one that the forwarder tells, in the first listener of the server', async () => {
    const server = createServer()
    const clients = createClients(server)
    const seen = Promise.withResolvers<Client | undefined>()
    server.on('connection', (socket: Socket) => {
      seen.resolve(clients.clientOf(socket))
      socket.destroy()
    })
    const port = await bound(server)
    const front = await forwarded(port, clients.carried, { address: '::ffff:198.51.100.7', port: 4242 })
    connect(front, '127.0.0.1').on('error', () => undefined)
    expect(await seen.promise).toEqual({ address: '198.51.100.7', port: 4242, through: 'vps:22' })
  })

  it('is known on a server that listens on both families', async () => {
    const server = createServer()
    const clients = createClients(server)
    const seen = Promise.withResolvers<Client | undefined>()
    server.on('connection', (socket: Socket) => {
      seen.resolve(clients.clientOf(socket))
      socket.destroy()
    })
    const port = await bound(server, '::')
    const front = await forwarded(port, clients.carried, { address: '198.51.100.7', port: 4242 })
    connect(front, '127.0.0.1').on('error', () => undefined)
    expect(await seen.promise).toMatchObject({ address: '198.51.100.7', through: 'vps:22' })
  })

  it('is unknown but for the forwarder, if that tells none', async () => {
    const server = createHttpServer()
    const clients = createClients(server)
    const seen = Promise.withResolvers<Client | undefined>()
    server.on('request', ({ socket }: IncomingMessage, response) => {
      seen.resolve(clients.clientOf(socket))
      response.end()
    })
    const port = await bound(server)
    const front = await forwarded(port, clients.carried, null)
    get({ host: '127.0.0.1', port: front, agent: false }).on('error', () => undefined)
    expect(await seen.promise).toEqual({ address: null, port: null, through: 'vps:22' })
  })

  it('is the other end of a direct connection', async () => {
    const server = createServer()
    const clients = createClients(server)
    const port = await bound(server)
    const accepted = once(server, 'connection')
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const [other]: Socket[] = await accepted
    if (other === undefined) throw new Error('no connection')
    expect(clients.clientOf(other)).toEqual({ address: '127.0.0.1', port: socket.localPort, through: null })
    socket.destroy()
    expect(clients.clientOf({})).toBeUndefined()
  })
})

it('the listener for carried connections leaves the server with the exposure', async () => {
  const server = createServer()
  const ended = new AbortController()
  const { carried } = createClients(server, ended)
  const connection: CarriedConnection = { localAddress: '127.0.0.1', localPort: 5000, client: null, party }
  carried(connection)
  expect(server.listenerCount('connection')).toBe(1)
  ended.abort()
  carried(connection)
  expect(server.listenerCount('connection')).toBe(0)
})

it.each([undefined, null, 5, 'x'])('clientOf returns nothing for %s', (socket) => {
  expect(createClients(createServer()).clientOf(socket as never)).toBeUndefined()
})
