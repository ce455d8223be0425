import type { Connection } from '@libp2p/interface'
import { type LengthPrefixedStream, lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { isGlobal } from '@postern/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type AutonatServer,
  type AutonatServerComponents,
  type AutonatServerInit,
  autonatServer
} from '../../src/index.js'
import {
  decodeDialBack,
  decodeMessage,
  dialBackProtocol,
  dialRequestProtocol,
  encodeDialBackResponse,
  encodeMessage,
  type Message
} from '../../src/wire/v2.js'
import { type WatchedClock, watchedClock } from '../support/fakes.js'
import { anywhere, type Node, startNode } from '../support/nodes.js'

interface Scene {
  readonly server: AutonatServer
  readonly host: Node
  readonly client: Node
  readonly time: WatchedClock
  readonly connection: Connection
  /** The dial backs that the client received, with their connection and nonce. */
  readonly dialBacks: { readonly connection: Connection; readonly nonce: bigint }[]
  readonly open: () => Promise<LengthPrefixedStream>
  /** Sends a request and reads until the server closes the stream. */
  readonly ask: (addresses: readonly string[], nonce?: bigint) => Promise<readonly Message[]>
}

async function scene(init: AutonatServerInit = {}, clientOptions: object = {}): Promise<Scene> {
  const time = watchedClock()
  const made: AutonatServer[] = []
  const autonat = (components: AutonatServerComponents): AutonatServer => {
    const server = autonatServer({ mayDial: anywhere, clock: time.clock, ...init })(components)
    made.push(server)
    return server
  }
  const host = await startNode({ services: { autonat } })
  const client = await startNode(clientOptions)
  const dialBacks: { connection: Connection; nonce: bigint }[] = []
  await client.libp2p.handle(dialBackProtocol, async (stream, connection) => {
    const messages = lpStream(stream)
    dialBacks.push({ connection, nonce: decodeDialBack((await messages.read()).subarray()) })
    await messages.write(encodeDialBackResponse())
    await stream.close()
  })
  const connection = await client.libp2p.dial(multiaddr(host.address))
  const [server] = made
  if (server === undefined) throw new Error('no server')
  const open = async (): Promise<LengthPrefixedStream> => {
    const stream = await connection.newStream(dialRequestProtocol)
    return lpStream(stream)
  }
  const ask: Scene['ask'] = async (addresses, nonce = 7n) => {
    const messages = await open()
    await messages.write(request(addresses, nonce))
    return readAll(messages)
  }
  return { server, host, client, time, connection, dialBacks, open, ask }
}

const request = (addresses: readonly string[], nonce = 7n): Uint8Array =>
  encodeMessage({ kind: 'dial-request', addresses: addresses.map((each) => multiaddr(each).bytes), nonce })

async function read(messages: LengthPrefixedStream): Promise<Message> {
  return decodeMessage((await messages.read()).subarray())
}

async function readAll(messages: LengthPrefixedStream): Promise<readonly Message[]> {
  const all: Message[] = []
  try {
    for (;;) all.push(await read(messages))
  } catch {
    await messages.unwrap().close?.()
    return all
  }
}

const response = (status: number, dialStatus = 0, index = 0): Message => ({
  kind: 'dial-response',
  status,
  index,
  dialStatus
})

describe('a request', () => {
  it('a request is answered once, after the nonce was delivered over a new connection', async () => {
    const { ask, client, dialBacks, connection, host, server } = await scene()
    expect(await ask([client.plain], 42n)).toEqual([response(200, 200)])
    expect(dialBacks.map(({ nonce }) => nonce)).toEqual([42n])
    expect(dialBacks[0]?.connection.id).not.toBe(connection.id)
    expect(dialBacks[0]?.connection.direction).toBe('inbound')
    expect(connection.status).toBe('open')
    expect(host.libp2p.getConnections().map(({ direction }) => direction)).toEqual(['inbound'])
    expect(server.counters).toMatchObject({ requests: 1, dials: 1, reached: 1, rejected: 0 })
  })

  it('the server dials the first address and no other', async () => {
    const { ask, client, dialBacks } = await scene()
    expect(await ask(['/ip4/127.0.0.1/tcp/1', client.plain])).toEqual([response(200, 100)])
    expect(dialBacks).toEqual([])
  })

  it('the server dials the first address that it can dial', async () => {
    const { ask, client, host } = await scene()
    const other = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'
    const addresses = [
      '/dns4/example.com/tcp/4001',
      '/ip4/127.0.0.1/udp/4001/quic-v1',
      `${client.plain}/p2p/${other}`,
      `${client.plain}/p2p/${other}/p2p-circuit`,
      host.plain,
      client.address
    ]
    expect(await ask(addresses)).toEqual([response(200, 200, 5)])
  })

  it('a request for an address without a listener is answered with E_DIAL_ERROR', async () => {
    const { ask, server } = await scene()
    expect(await ask(['/ip4/127.0.0.1/tcp/1'])).toEqual([response(200, 100)])
    expect(server.counters).toMatchObject({ dials: 1, dialErrors: 1 })
  })

  it('a request for the address of another peer is answered with E_DIAL_ERROR', async () => {
    const { ask } = await scene()
    const other = await startNode()
    expect(await ask([other.plain])).toEqual([response(200, 100)])
  })

  it('a request of a peer that accepts no nonce is answered with E_DIAL_BACK_ERROR', async () => {
    const { ask, client, server } = await scene()
    await client.libp2p.unhandle(dialBackProtocol)
    expect(await ask([client.plain])).toEqual([response(200, 101)])
    expect(server.counters.dialBackErrors).toBe(1)
  })

  it('a request of a peer that does not confirm the nonce is answered with E_DIAL_BACK_ERROR', async () => {
    const { ask, client, time, host } = await scene()
    await client.libp2p.unhandle(dialBackProtocol)
    await client.libp2p.handle(dialBackProtocol, () => undefined)
    const answers = ask([client.plain])
    await time.asked(5_000)
    while (
      host.libp2p.getConnections().every(({ streams }) => streams.every((each) => each.protocol !== dialBackProtocol))
    ) {
      await time.advance(0)
    }
    await time.advance(5_000)
    expect(await answers).toEqual([response(200, 101)])
  })

  it.each([
    ['no address', []],
    ['private addresses', ['/ip4/192.168.1.1/tcp/4001', '/ip4/127.0.0.1/tcp/4001', '/ip6/fd00::1/tcp/4001']],
    ['relayed addresses', ['/ip4/11.0.0.1/tcp/1/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln/p2p-circuit']],
    ['addresses without a suitable transport', ['/ip4/11.0.0.1/udp/4001/quic-v1']],
    ['DNS names', ['/dns4/example.com/tcp/4001']],
    [
      'addresses that contain a second destination',
      [
        '/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/ws',
        '/ip4/11.0.0.1/tcp/443/tls/sni/localhost/tls/ws',
        '/ip4/11.0.0.1/tcp/80/ws/http-path/x',
        '/ip4/11.0.0.1/tcp/4001/ip4/127.0.0.1/tcp/22',
        '/ip4/11.0.0.1/tcp/4001/dns4/localhost'
      ]
    ]
  ])('a request with %s is refused', async (_, addresses) => {
    const { ask, server } = await scene({ mayDial: isGlobal })
    expect(await ask(addresses)).toEqual([response(101)])
    expect(server.counters).toMatchObject({ dials: 0, refused: 1 })
  })

  it('a request with IPv6 addresses is refused by a server without IPv6', async () => {
    const { ask } = await scene({ hostAddresses: () => ['127.0.0.1'] })
    expect(await ask(['/ip6/::1/tcp/4001'])).toEqual([response(101)])
  })

  it('a request for an address of the server itself is refused', async () => {
    const { ask, host } = await scene()
    expect(await ask([host.plain])).toEqual([response(101)])
  })

  it('the server looks at the first 50 addresses of a request only', async () => {
    const { ask, client } = await scene()
    const useless = Array.from({ length: 49 }, () => '/dns4/example.com/tcp/4001')
    expect(await ask([...useless, client.plain])).toEqual([response(200, 200, 49)])
    expect(await ask([...useless, '/dns4/example.com/tcp/4001', client.plain])).toEqual([response(101)])
  })

  it.each([
    ['not a protobuf message', Uint8Array.of(1, 2, 3)],
    ['another message', encodeMessage({ kind: 'dial-data-response', data: new Uint8Array(9) })],
    ['a message of more than 8 KiB', new Uint8Array(8193)]
  ])('a request that is %s is rejected', async (_, bytes) => {
    const { open, server } = await scene()
    const messages = await open()
    await messages.write(bytes)
    expect(await readAll(messages)).toEqual([response(100)])
    expect(server.counters).toMatchObject({ dials: 0, rejected: 1 })
  })

  it('a request that never arrives is rejected after a timeout', async () => {
    const { open, time } = await scene()
    const answers = readAll(await open())
    await time.asked(5_000)
    await time.advance(5_000)
    expect(await answers).toEqual([response(100)])
  })

  it('a request over a relay is rejected', async () => {
    const { server, host, connection } = await scene()
    const handlers = host.components.registrar.getHandler(dialRequestProtocol)
    expect(handlers.options.runOnLimitedConnection).toBeUndefined()
    await host.libp2p.handle('/test', async (stream, remote) => {
      const get = (target: Connection, key: string): unknown =>
        key === 'limits' ? { bytes: 1n } : Reflect.get(target, key)
      await handlers.handler(stream, new Proxy(remote, { get }))
    })
    const messages = lpStream(await connection.newStream('/test'))
    expect(await readAll(messages)).toEqual([response(100)])
    expect(server.counters).toMatchObject({ requests: 1, rejected: 1 })
  })
})

describe('dial data', () => {
  const elsewhere = { listen: ['/ip4/127.0.0.2/tcp/0'] }

  it('the server asks for dial data if the address is not the observed one', async () => {
    const { open, client, server, dialBacks } = await scene({}, elsewhere)
    const messages = await open()
    await messages.write(request(['/dns4/example.com/tcp/1', client.plain]))
    const wanted = await read(messages)
    if (wanted.kind !== 'dial-data-request') throw new Error(wanted.kind)
    expect(wanted.index).toBe(1)
    expect(Number(wanted.bytes)).toBeGreaterThanOrEqual(30_000)
    expect(Number(wanted.bytes)).toBeLessThanOrEqual(100_000)
    const data = encodeMessage({ kind: 'dial-data-response', data: new Uint8Array(4096) })
    for (let left = Number(wanted.bytes); left > 0; left -= 4096) {
      expect(dialBacks).toEqual([])
      await messages.write(data)
    }
    expect(await readAll(messages)).toEqual([response(200, 200, 1)])
    expect(server.counters.dialDataBytes).toBe(Math.ceil(Number(wanted.bytes) / 4096) * 4096)
  })

  it('the server does not dial without the dial data', async () => {
    const { open, client, server, time } = await scene({ dialDataBytes: () => 30_000 }, elsewhere)
    const messages = await open()
    await messages.write(request([client.plain]))
    expect(await read(messages)).toEqual({ kind: 'dial-data-request', index: 0, bytes: 30_000n })
    await messages.write(encodeMessage({ kind: 'dial-data-response', data: new Uint8Array(4096) }))
    await time.advance(15_000)
    expect(await readAll(messages)).toEqual([response(100)])
    expect(server.counters.dials).toBe(0)
  })

  it.each([
    ['in messages that are too large', 4097, 1],
    ['in too many small messages', 1, 2000]
  ])('the server does not dial if the dial data arrives %s', async (_, size, count) => {
    const { open, client, server } = await scene({ dialDataBytes: () => 30_000 }, elsewhere)
    const messages = await open()
    await messages.write(request([client.plain]))
    await read(messages)
    const data = encodeMessage({ kind: 'dial-data-response', data: new Uint8Array(size) })
    const send = async (): Promise<void> => {
      for (let index = 0; index < count; index += 1) await messages.write(data)
    }
    const [answers] = await Promise.all([readAll(messages), send().catch(() => undefined)])
    expect(answers).toEqual([response(100)])
    expect(server.counters.dials).toBe(0)
  })
})

describe('the limits', () => {
  it('requestsPerPeer limits the requests of one peer per minute', async () => {
    const { ask, time, client } = await scene({ requestsPerPeer: 2 })
    expect(await ask([client.plain])).toEqual([response(200, 200)])
    expect(await ask([client.plain])).toEqual([response(200, 200)])
    expect(await ask([client.plain])).toEqual([response(100)])
    await time.advance(60_000)
    expect(await ask([client.plain])).toEqual([response(200, 200)])
  })

  it('requestsPerMinute limits the requests of all peers per minute', async () => {
    const { ask, host, client } = await scene({ requestsPerMinute: 1 })
    const other = await startNode()
    expect(await ask([client.plain])).toEqual([response(200, 200)])
    const connection = await other.libp2p.dial(multiaddr(host.address))
    const messages = lpStream(await connection.newStream(dialRequestProtocol))
    await messages.write(request([other.plain]))
    expect(await readAll(messages)).toEqual([response(100)])
  })

  it('concurrency limits the concurrent dials', async () => {
    const { open, client, ask, time, server } = await scene({ concurrency: 1 })
    await client.libp2p.unhandle(dialBackProtocol)
    await client.libp2p.handle(dialBackProtocol, () => undefined)
    const hanging = await open()
    await hanging.write(request([client.plain]))
    await time.asked(10_000)
    expect(await ask([client.plain])).toEqual([response(100)])
    expect(server.limited).toEqual({ ip: 1 })
  })

  it('requests that lead to no dial do not use up the budget of dials', async () => {
    const { ask, client, server } = await scene({ requestsPerPeer: 1, requestsPerMinute: 1 })
    for (let count = 0; count < 3; count += 1) expect(await ask([])).toEqual([response(101)])
    expect(await ask([client.plain])).toEqual([response(200, 200)])
    expect(await ask([client.plain])).toEqual([response(100)])
    expect(server.limited).toEqual({ 'minute-peer': 1 })
  })

  it('one peer may have two concurrent requests', async () => {
    const { open, ask, client } = await scene()
    const slow = await Promise.all([open(), open()])
    expect(slow).toHaveLength(2)
    expect(await ask([client.plain])).toEqual([response(100)])
  })

  it('two concurrent requests of one peer about two addresses each get their own nonce', async () => {
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0']
    const { ask, client, server, dialBacks } = await scene({}, { listen })
    const [one = '', other = ''] = client.libp2p.getMultiaddrs().map(String)
    // A node accepts five connections per second from one address.
    for (let round = 0n; round < 2n; round += 1n) {
      const both = [ask([one], 2n * round), ask([other], 2n * round + 1n)]
      expect(await Promise.all(both)).toEqual([[response(200, 200)], [response(200, 200)]])
    }
    expect(new Set(dialBacks.map(({ nonce }) => nonce))).toEqual(new Set([0n, 1n, 2n, 3n]))
    expect(server.counters).toMatchObject({ reached: 4, failed: 0 })
  })

  it('isServing reports the connections with a request in progress', async () => {
    const { open, server, host, connection, time } = await scene()
    const isServing = (): readonly boolean[] => host.libp2p.getConnections().map((each) => server.isServing(each))
    await expect.poll(isServing).toEqual([false])
    const slow = await open()
    await time.asked(5_000)
    expect(isServing()).toEqual([true])
    slow.unwrap().abort(new Error('it changed its mind'))
    await expect.poll(isServing).toEqual([false])
    expect(connection.status).toBe('open')
  })

  it('dialTimeoutMs limits the duration of a dial', async () => {
    // This server accepts and stays silent, so the handshake never ends.
    const { createServer } = await import('node:net')
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    onTestFinished(() => void silent.close())
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const { ask, time } = await scene({ dialTimeoutMs: 3_000 })
    const answers = ask([`/ip4/127.0.0.1/tcp/${port}`])
    await time.asked(3_000)
    await time.advance(3_000)
    expect(await answers).toEqual([response(200, 100)])
  })
})

describe('the service', () => {
  it('the service can start and stop repeatedly', async () => {
    const { server, host } = await scene()
    await server.start()
    await server.stop()
    await server.stop()
    expect(host.components.registrar.getProtocols()).not.toContain(dialRequestProtocol)
    await server.start()
    expect(host.components.registrar.getProtocols()).toContain(dialRequestProtocol)
  })

  it('stop during a request leaves nothing behind', async () => {
    const { server, open, client, time, host } = await scene({}, { listen: ['/ip4/127.0.0.2/tcp/0'] })
    const messages = await open()
    await messages.write(request([client.plain]))
    await read(messages)
    await server.stop()
    expect(time.pending()).toBe(0)
    const streams = host.libp2p.getConnections().flatMap((each) => each.streams)
    expect(streams.filter(({ protocol }) => protocol === dialRequestProtocol)).toEqual([])
    expect(await readAll(messages)).toEqual([])
  })

  it('start rejects if another service handles the protocol', async () => {
    const { host } = await scene()
    await expect(autonatServer()(host.components).start()).rejects.toThrow(/already registered/)
  })

  it.each([
    [{ requestsPerPeer: 0 }],
    [{ requestsPerMinute: 1.5 }],
    [{ requestsPerIp: 0 }],
    [{ requestsPerSubnet: Number.POSITIVE_INFINITY }],
    [{ requestsPerNetwork: 0 }],
    [{ concurrency: -1 }],
    [{ dialTimeoutMs: Number.NaN }],
    [{ mayDial: true as unknown as () => boolean }]
  ])('autonatServer() throws a TypeError for %j', (init) => {
    expect(() => autonatServer(init)).toThrow(TypeError)
  })
})
