import { connect, Socket } from 'node:net'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, MultiaddrConnection, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { createLibp2p } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Admission, type AdmissionLimits, createAdmission } from '../../src/bounds/admission.js'
import { guardedTransport } from '../../src/bounds/listener-guard.js'
import { maxMessageBytes } from '../../src/bounds/message-guard.js'

const plenty = { total: 1000 }
const roomy: AdmissionLimits = {
  connections: plenty,
  handshakes: plenty,
  socketsPerSecond: plenty,
  streams: plenty,
  frames: { ip: 1000, subnet: 1000, network: 1000, streams: 100 },
  handshakeTimeoutMs: 5000
}

interface Scene {
  readonly admission: Admission
  readonly node: Libp2p
  readonly clock: VirtualClock
  /** The port of each listener. */
  readonly port: Readonly<Record<'tcp' | 'ws', number>>
  /** The connections that must not be closed for others. */
  readonly busy: Set<string>
  /** Opens a socket from a loopback address. */
  readonly socket: (from: string, kind?: 'tcp' | 'ws') => Promise<Socket>
  /** Starts a peer that dials over TCP from a loopback address. */
  readonly peer: (from: string) => Promise<Libp2p>
  /** Resolves when the node has the connection. */
  readonly dial: (peer: Libp2p, kind?: 'tcp' | 'ws') => Promise<Connection>
}

async function scene(limits: Partial<AdmissionLimits> = {}): Promise<Scene> {
  const clock = virtualClock()
  const admission = createAdmission({ ...roomy, ...limits }, clock)
  const busy = new Set<string>()
  const ended = new AbortController()
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] },
    transports: [
      guardedTransport(tcp(), 'tcp', admission.guard),
      guardedTransport(webSockets(), 'ws', admission.guard)
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: admission.gater,
    connectionManager: {
      maxConnections: 2000,
      maxIncomingPendingConnections: 2000,
      inboundConnectionThreshold: Number.MAX_SAFE_INTEGER
    },
    services: { identify: identify(), ping: ping() }
  })
  admission.watch(node, ({ id }) => busy.has(id), ended.signal)
  const peers: Libp2p[] = []
  const sockets: Socket[] = []
  onTestFinished(async () => {
    for (const each of sockets) each.destroy()
    for (const each of [...peers, node]) await each.stop()
    ended.abort()
  })
  const portOf = (isWs: boolean): number =>
    Number(
      node
        .getMultiaddrs()
        .find((each) => String(each).includes('/ws') === isWs)
        ?.getComponents()
        .find(({ name }) => name === 'tcp')?.value
    )
  const port = { tcp: portOf(false), ws: portOf(true) }
  return {
    admission,
    node,
    clock,
    port,
    busy,
    async socket(from, kind = 'tcp') {
      const socket = connect({ host: '127.0.0.1', port: port[kind], localAddress: from })
      sockets.push(socket)
      socket.on('error', () => undefined)
      socket.resume()
      await new Promise((resolve) => socket.once('connect', resolve))
      return socket
    },
    async peer(from) {
      // The transport passes all options to node:net.
      const dialOpts = { noDelay: true, localAddress: from }
      const peer = await createLibp2p({
        transports: [tcp({ dialOpts }), webSockets()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
        services: { identify: identify() }
      })
      peers.push(peer)
      return peer
    },
    async dial(peer, kind = 'tcp') {
      const connection = await peer.dial(
        multiaddr(`/ip4/127.0.0.1/tcp/${port[kind]}${kind === 'ws' ? '/ws' : ''}/p2p/${node.peerId.toString()}`),
        { force: true }
      )
      // The dialler has its connection before the listener.
      const stream = await connection.newStream('/ipfs/ping/1.0.0')
      stream.abort(new Error('the connection is let in'))
      return connection
    }
  }
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())))

// Only Linux has all of 127.0.0.0/8 on loopback.
describe.skipIf(process.platform !== 'linux')('createAdmission', () => {
  it.each(['tcp', 'ws'] as const)(
    'createAdmission closes a silent socket after the handshake timeout: %s',
    async (kind) => {
      const { admission, clock, socket } = await scene()
      const silent = await socket('127.0.0.2', kind)
      await expect.poll(() => admission.handshakes).toBe(1)
      await clock.advance(4999)
      expect(admission.handshakes).toBe(1)
      await clock.advance(1)
      await closed(silent)
      await expect.poll(() => admission.handshakes).toBe(0)
      expect(admission.counters.handshakes.timeout).toBe(1)
    }
  )

  it.each([
    ['the HTTP request ends nowhere', 'ws', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: '],
    ['the HTTP request asks for no upgrade', 'ws', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no protocol is agreed on', 'tcp', '\u0013/multistream/1.0.0'],
    ['the encryption never comes', 'tcp', '\u0013/multistream/1.0.0\n\u0007/noise\n']
  ] as const)('is closed in time where %s', async (_, kind, text) => {
    const { admission, clock, socket } = await scene()
    const slow = await socket('127.0.0.2', kind)
    slow.write(text)
    await expect.poll(() => admission.handshakes).toBe(1)
    await clock.advance(5000)
    await closed(slow)
    expect(admission.counters.handshakes.timeout).toBe(1)
  })

  /** The start of a frame of a WebSocket, masked with zeroes; its length is in the 8 bytes at its end but for the
   * mask. */
  const frame = (first: number, bytes: number): Buffer => {
    const header = Buffer.alloc(14)
    header.set([first, 0xff])
    header.writeBigUInt64BE(BigInt(bytes), 2)
    return header
  }

  it.each([
    ['a message that is larger than any of libp2p', frame(0x82, maxMessageBytes + 1)],
    ['a frame of no kind', frame(0x8f, 1)],
    ['a frame with a reserved bit', frame(0xf2, 1)]
  ])('createAdmission closes a WebSocket that sends %s at its first bytes', async (_, header) => {
    const { socket, peer, dial } = await scene()
    const hostile = await socket('127.0.0.2', 'ws')
    const heard: Buffer[] = []
    hostile.on('data', (data: Buffer) => heard.push(data))
    hostile.write(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`
    )
    await expect.poll(() => Buffer.concat(heard).toString('latin1')).toContain('101 Switching Protocols')
    hostile.write(header)
    await closed(hostile)
    await expect(dial(await peer('127.0.0.3'), 'ws')).resolves.toMatchObject({ status: 'open' })
  })

  it('createAdmission closes the oldest handshake of an address at its limit', async () => {
    const { admission, socket, peer, dial } = await scene({ handshakes: { total: 100, ip: 3 } })
    const first = await socket('127.0.0.2')
    for (let index = 0; index < 3; index++) await socket('127.0.0.2')
    await closed(first)
    expect(admission.counters.handshakes.evicted).toBe(1)
    expect(admission.handshakes).toBe(3)
    const honest = await peer('127.0.0.2')
    await expect(dial(honest)).resolves.toMatchObject({ status: 'open' })
  })

  it.each(['tcp', 'ws'] as const)(
    'createAdmission accepts a connection while silent sockets hold every place: %s',
    async (kind) => {
      const { admission, socket, peer, dial } = await scene({ handshakes: { total: 12, ip: 8 } })
      for (let index = 0; index < 12; index++) await socket(`127.0.0.${20 + index}`, kind)
      await expect.poll(() => admission.handshakes).toBe(12)
      const connection = await dial(await peer('127.0.9.1'), kind)
      expect(connection.status).toBe('open')
      expect(admission.connections).toBe(1)
    }
  )

  it('createAdmission counts a connection until it is closed', async () => {
    const { admission, peer, dial } = await scene()
    const one = await peer('127.0.0.2')
    const over = [await dial(one), await dial(one, 'ws')]
    expect([admission.handshakes, admission.connections]).toEqual([0, 2])
    for (const each of over) await each.close()
    await expect.poll(() => admission.connections).toBe(0)
  })

  it('createAdmission closes the oldest idle connection of a peer or address at its limit', async () => {
    const { admission, peer, dial } = await scene({ connections: { total: 100, ip: 4, peer: 2 } })
    const one = await peer('127.0.0.2')
    const connections = [await dial(one), await dial(one), await dial(one)]
    await expect.poll(() => connections.map(({ status }) => status === 'open')).toEqual([false, true, true])
    const others = [await dial(await peer('127.0.0.2')), await dial(await peer('127.0.0.2'))]
    const last = await dial(await peer('127.0.0.2'))
    await expect.poll(() => connections.map(({ status }) => status === 'open')).toEqual([false, false, true])
    expect([...others, last].map(({ status }) => status)).toEqual(['open', 'open', 'open'])
    expect(admission.connections).toBe(4)
    expect(admission.counters.connections.evicted).toBe(2)
  })

  it('createAdmission never closes a busy connection, or one of an address that holds less', async () => {
    const { node, busy, admission, peer, dial } = await scene({ connections: { total: 4 } })
    const hog = await peer('127.0.0.2')
    const used = await dial(hog)
    for (const { id } of node.getConnections()) busy.add(id)
    const idle = await dial(hog)
    const other = await dial(await peer('127.0.1.3'))
    const another = await dial(await peer('127.0.2.4'))
    const late = await dial(await peer('127.0.3.5'))
    await expect.poll(() => idle.status === 'open').toBe(false)
    expect([used, other, another, late].map(({ status }) => status)).toEqual(['open', 'open', 'open', 'open'])
    await dial(hog).catch(() => undefined)
    expect([used, other, another, late].map(({ status }) => status)).toEqual(['open', 'open', 'open', 'open'])
    expect(admission.connections).toBe(4)
  })

  it('createAdmission counts a relayed connection at the address of the relay', async () => {
    const clock = virtualClock()
    const limits = { ...roomy, handshakes: { total: 100, ip: 3 }, connections: { total: 100, ip: 2 } }
    const admission = createAdmission(limits, clock)
    const relay = '/ip4/11.0.0.1/tcp/4001/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln/p2p-circuit'
    const aborted: number[] = []
    const arrivals = Array.from({ length: 5 }, async (_, index) => {
      const { peerId } = await createLibp2p({ start: false })
      const remote = Object.assign(new EventTarget(), {
        remoteAddr: multiaddr(`${relay}/p2p/${peerId.toString()}`),
        status: 'open',
        abort() {
          aborted.push(index)
          remote.status = 'aborted'
          remote.dispatchEvent(new Event('close'))
        }
      })
      const connection = remote as unknown as MultiaddrConnection
      return {
        begins: () => admission.gater.denyInboundConnection?.(connection),
        isUpgraded: () => admission.gater.denyInboundUpgradedConnection?.(peerId, connection)
      }
    })
    const [a, b, c, d, e] = await Promise.all(arrivals)
    expect([a, b, c, d, e].map((each) => each?.begins())).toEqual([false, false, false, false, false])
    expect({ aborted, pending: admission.handshakes }).toEqual({ aborted: [0, 1], pending: 3 })
    expect([a, c, d, e].map((each) => each?.isUpgraded())).toEqual([true, false, false, false])
    expect({ aborted, pending: admission.handshakes, connections: admission.connections }).toEqual({
      aborted: [0, 1, 2],
      pending: 0,
      connections: 2
    })
    await clock.advance(10_000)
    expect({ aborted, connections: admission.connections }).toEqual({ aborted: [0, 1, 2], connections: 2 })
  })

  it('createAdmission accepts one socket of a remote end at a time, for any local address', () => {
    const { guard } = createAdmission(roomy, virtualClock())
    const from = (remotePort: number) =>
      Object.defineProperties(new Socket(), {
        remoteAddress: { value: '127.0.0.2' },
        remotePort: { value: remotePort }
      })
    const first = from(1)
    expect([guard(first, 'tcp'), guard(from(1), 'tcp'), guard(from(1), 'ws'), guard(from(2), 'tcp')]).toEqual([
      true,
      false,
      true,
      true
    ])
    first.destroy()
    expect(guard(from(1), 'tcp')).toBe(true)
  })

  it('createAdmission has a socket rate that one address cannot use up', async () => {
    const { admission, clock, socket, peer, dial } = await scene({ socketsPerSecond: { total: 20, ip: 5 } })
    const flood = await Promise.all(Array.from({ length: 30 }, () => socket('127.0.0.2')))
    await expect.poll(() => admission.counters.handshakes.rate).toBe(25)
    expect((await dial(await peer('127.0.9.1'))).status).toBe('open')
    for (const each of flood) each.destroy()
    await clock.advance(1000)
    expect((await dial(await peer('127.0.0.2'))).status).toBe('open')
  })

  /** Returns small frames of yamux, each for a new or an unknown stream. */
  const smallFrames = (connection: Connection, flag: number, count: number): void => {
    const bytes = new Uint8Array(12 * count)
    for (let at = 0; at < count; at++) {
      const id = 100_001 + 2 * at
      bytes.set([0, 1, 0, flag, 0, id >> 16, (id >> 8) & 255, id & 255], 12 * at)
    }
    const { muxer } = connection as unknown as { muxer: { maConn: { send(data: Uint8Array): void } } }
    muxer.maConn.send(bytes)
  }

  it('createAdmission closes only a connection that opens too many streams in a second', async () => {
    const { admission, peer, dial } = await scene()
    const other = await dial(await peer('127.0.0.2'))
    const hostile = await dial(await peer('127.0.0.2'))
    smallFrames(hostile, 1, 200)
    await expect.poll(() => hostile.status === 'open').toBe(false)
    await expect.poll(() => admission.connections).toBe(1)
    expect(other.status).toBe('open')
  })

  it.each(['tcp', 'ws'] as const)(
    'createAdmission pauses only a connection that sends many small frames: %s',
    async (kind) => {
      const { clock, peer, dial } = await scene()
      const [busy, other] = [await dial(await peer('127.0.0.2'), kind), await dial(await peer('127.1.0.2'), 'tcp')]
      // More than a socket reads at once, so that later data waits.
      smallFrames(busy, 0, 20_000)
      let isAnswered = false
      const answered = busy.newStream('/ipfs/ping/1.0.0').then((stream) => {
        isAnswered = true
        stream.abort(new Error('enough'))
      })
      for (let count = 0; count < 5; count++) {
        const stream = await other.newStream('/ipfs/ping/1.0.0')
        stream.abort(new Error('enough'))
      }
      expect(isAnswered).toBe(false)
      await expect
        .poll(async () => {
          await clock.advance(10_000)
          return isAnswered
        })
        .toBe(true)
      await answered
      expect(busy.status).toBe('open')
    }
  )

  it('createAdmission pauses a new connection of an address that has sent too many small frames', async () => {
    const { clock, peer, dial } = await scene({ handshakeTimeoutMs: 600_000 })
    const busy = await dial(await peer('127.0.0.2'))
    smallFrames(busy, 0, 5000)
    // The answer follows the frames, so the node has counted them.
    await (await busy.newStream('/ipfs/ping/1.0.0')).close()
    const came: string[] = []
    const late = dial(await peer('127.0.0.2')).then(() => came.push('late'))
    await dial(await peer('127.1.0.3')).then(() => came.push('other'))
    expect(came).toEqual(['other'])
    await clock.advance(60_000)
    await late
    expect(came).toEqual(['other', 'late'])
  })

  it('createAdmission limits the streams of a peer and in total, and leaves some for others', async () => {
    const { node, admission, peer, dial } = await scene({ streams: { total: 8, peer: 3 } })
    await node.handle('/silent', () => undefined, { maxInboundStreams: 100 })
    const open = async (connection: Connection): Promise<Stream> => {
      const stream = await connection.newStream('/silent', { maxOutboundStreams: 100 })
      stream.send(new Uint8Array(1))
      return stream
    }
    const hog = await dial(await peer('127.0.0.2'))
    await expect.poll(() => admission.streams).toBe(0)
    const streams = [await open(hog), await open(hog), await open(hog)]
    expect(admission.streams).toBe(3)
    await expect(open(hog)).rejects.toThrow(/reset|closed/)
    expect(admission.counters.streams.peer).toBe(1)
    await expect(open(await dial(await peer('127.0.9.1')))).resolves.toMatchObject({ status: 'open' })
    for (const each of streams) each.abort(new Error('enough'))
    await expect.poll(() => admission.streams).toBe(1)
  })
})
