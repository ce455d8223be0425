import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { createLibp2p } from 'libp2p'
import { onTestFinished } from 'vitest'
import { type Carried, splice } from '../../../src/commands/tunnel/copy-bytes.js'
import { tunnelProtocol } from '../../../src/commands/tunnel/protocol.js'
import { createRecordReader, endRecord, recordsOf } from '../../../src/commands/tunnel/records.js'
import { type Served, serveTunnels } from '../../../src/commands/tunnel/serve.js'

const options = { allowHalfOpen: true, noDelay: true } as const

/** Starts a real node on loopback, until the test ends. */
export async function tunnelNode(): Promise<Libp2p> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: windowBytes } })],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false }
  })
  onTestFinished(async () => {
    // Stopping waits half a second for open streams.
    for (const each of node.getConnections()) each.abort(new Error('the test is over'))
    await node.stop()
  })
  return node
}

/** The receive window of a stream. */
export const windowBytes: number = 1024 * 1024

/** Starts a TCP server on loopback, until the test ends. */
export async function localServer(): Promise<{
  readonly server: Server
  readonly port: number
  readonly sockets: readonly Socket[]
  readonly next: () => Promise<Socket>
}> {
  const sockets: Socket[] = []
  const server = createServer({ ...options, pauseOnConnect: true }, (socket) => {
    sockets.push(socket.on('error', () => undefined))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const each of sockets) each.destroy()
  })
  let seen = 0
  const next = async (): Promise<Socket> => {
    const at = seen++
    for (;;) {
      const found = sockets[at]
      if (found !== undefined) return found
      await once(server, 'connection')
    }
  }
  return { server, port: (server.address() as AddressInfo).port, sockets, next }
}

/** Opens a paused TCP connection to loopback, until the test ends. */
export async function dialLocal(port: number): Promise<Socket> {
  const socket = connect({ ...options, host: '127.0.0.1', port }).on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** A TCP connection that is spliced to a stream of a libp2p connection. */
export async function spliced(): Promise<{
  readonly app: Socket
  readonly socket: Socket
  readonly near: Stream
  readonly far: Stream
  readonly connection: Connection
  readonly farConnection: Connection
  readonly carried: Promise<Carried>
  readonly stop: () => void
}> {
  const [here, there, local] = await Promise.all([tunnelNode(), tunnelNode(), localServer()])
  const opened = Promise.withResolvers<readonly [Stream, Connection]>()
  await there.handle('/test/far', (stream, connection) => {
    stream.pause()
    opened.resolve([stream, connection])
  })
  const connection = await here.dial(there.getMultiaddrs())
  const near = await connection.newStream('/test/far')
  near.pause()
  const [app, socket] = await Promise.all([dialLocal(local.port), local.next()])
  const ended = new AbortController()
  const carried = splice(socket, near, ended)
  const [far, farConnection] = await opened.promise
  return { app, socket, near, far, connection, farConnection, carried, stop: () => ended.abort() }
}

/** Starts a served service and a guest, which is allowed by default. */
export async function served(
  given: { readonly allowed?: boolean; readonly maxTotal?: number; readonly maxPerPeer?: number } = {}
): Promise<{
  readonly local: Awaited<ReturnType<typeof localServer>>
  readonly clock: VirtualClock
  readonly news: readonly Served[]
  readonly guest: Libp2p
  readonly connection: Connection
  /** The connection on the serving side. */
  readonly inbound: () => Connection
}> {
  const { allowed = true, maxTotal = 128, maxPerPeer = 64 } = given
  const [host, guest, local] = await Promise.all([tunnelNode(), tunnelNode(), localServer()])
  const clock = virtualClock()
  const news: Served[] = []
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  await serveTunnels(host, {
    target: { host: '127.0.0.1', port: local.port },
    allow: new Set(allowed ? [guest.peerId.toString()] : []),
    maxTotal,
    maxPerPeer,
    told: (each) => void news.push(each),
    clock,
    signal: ended.signal
  })
  const connection = await guest.dial(host.getMultiaddrs())
  const inbound = (): Connection => {
    const [found] = host.getConnections(guest.peerId)
    if (found === undefined) throw new Error('the guest is not connected')
    return found
  }
  return { local, clock, news, guest, connection, inbound }
}

/** Opens a stream of the protocol without sending anything. */
export const bare = (connection: Connection, maxOutboundStreams = 64): Promise<Stream> =>
  connection.newStream(tunnelProtocol, { maxOutboundStreams })

/** Resolves when a stream has ended; to true if it was reset. */
export const isReset = (stream: Stream): Promise<boolean> =>
  new Promise((resolve) => {
    if (stream.status !== 'open') return resolve(stream.status === 'reset' || stream.status === 'aborted')
    stream.addEventListener('close', ({ error }) => resolve(error !== undefined))
  })

/** Reads until the other side ends. Resolves to the text, or to the code of the error that cut it. */
export const heard = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk))
    socket.on('end', () => resolve(Buffer.concat(chunks).toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.resume()
  })

/** Reads the records of a stream until the end record. Resolves to their text, or to the fact that it was cut. */
export const heardOn = (stream: Stream): Promise<string> =>
  new Promise((resolve) => {
    const reader = createRecordReader()
    const chunks: Uint8Array[] = []
    stream.addEventListener('message', ({ data }) => void chunks.push(...reader.read(data.subarray())))
    stream.addEventListener('end', () => resolve(reader.hasEnded ? Buffer.concat(chunks).toString() : 'cut'))
    if (stream.readStatus === 'paused') stream.resume()
  })

/** Sends a text in a record. Returns whether more may be sent at once. */
export const sayOn = (stream: Stream, bytes: string | Uint8Array): boolean =>
  recordsOf(Buffer.from(bytes))
    .map((record) => stream.send(record))
    .at(-1) ?? true

/** Sends the end record. */
export async function endOn(stream: Stream): Promise<void> {
  stream.send(endRecord())
  await stream.close()
}
