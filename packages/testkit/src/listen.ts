import type { Socket as DatagramSocket } from 'node:dgram'
import type { Server } from 'node:net'
import { familyOf, natError } from '@postern/interface'
import type { SocketAddress } from '@postern/net'
import type { FakeGateway } from './gateway.js'
import { closeServer, openHttpServer } from './listen-http.js'
import { openDatagramSocket, sendFromElsewhere } from './listen-udp.js'
import type { Cast, DatagramPort, Line, OutgoingDatagram } from './transport.js'

/** Options of `listen()`. */
export interface ListenOptions {
  /** A loopback address. @default on Linux a random one in 127.0.0.0/8, elsewhere 127.0.0.1 */
  readonly address?: string
  /** The ports; 0 selects a free one. @default 5351, 1900 and 0; on platforms with only 127.0.0.1, 0 for each */
  readonly ports?: { readonly portMapping?: number; readonly ssdp?: number; readonly http?: number }
  /**
   * Whether to receive multicast SSDP searches and send multicast announcements on the loopback interface. Searches are
   * accepted only from the same /24, so that parallel tests do not interfere. @default true on Linux
   */
  readonly multicast?: boolean
  /** Additional targets of announcements, for platforms and tests without multicast. @default none */
  readonly announceTo?: { readonly portMapping?: readonly SocketAddress[]; readonly ssdp?: readonly SocketAddress[] }
}

/** A gateway with real sockets. */
export interface ListeningGateway {
  /** The loopback address. */
  readonly address: string
  /** The ports in use. */
  readonly ports: { readonly portMapping: number; readonly ssdp: number; readonly http: number }
  /** Resolves when the sockets match the current faults and the last reboot. */
  settled(): Promise<void>
  /** Closes all sockets. Leaves no handle. Idempotent. */
  close(): Promise<void>
  /** Like `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

const onLinux = process.platform === 'linux'

/**
 * Opens the gateway's sockets on a loopback address.
 *
 * Rejects with `PORT_TAKEN` if a port is in use, and with `UNREACHABLE` if the address cannot be bound. Throws a
 * TypeError for an address that is not loopback.
 */
export async function listen(gateway: FakeGateway, options: ListenOptions = {}): Promise<ListeningGateway> {
  if (options.address !== undefined || !onLinux) return await listenOn(gateway, options.address ?? '127.0.0.1', options)
  for (let attempt = 0; ; attempt += 1) {
    const part = (): number => 1 + Math.floor(Math.random() * 253)
    try {
      return await listenOn(gateway, `127.${part()}.${part()}.1`, options)
    } catch (error) {
      // Another test may use the address.
      if (attempt === 20) throw error
    }
  }
}

async function listenOn(gateway: FakeGateway, address: string, options: ListenOptions): Promise<ListeningGateway> {
  const family = familyOf(address)
  if (family === undefined || !/^127\.|^::1$/.test(address)) throw new TypeError(`not a loopback address: ${address}`)
  const { multicast = onLinux, announceTo = {} } = options
  const shared = address === '127.0.0.1' && !onLinux
  const ports = {
    portMapping: options.ports?.portMapping ?? (shared ? 0 : 5351),
    ssdp: options.ports?.ssdp ?? (shared ? 0 : 1900),
    http: options.ports?.http ?? 0
  }
  const sockets = new Map<DatagramPort | 'group', DatagramSocket>()
  let server: Server | undefined
  let closed = false
  let failure: unknown
  /** The chain of socket operations, which run one after the other. */
  let work: Promise<void> = Promise.resolve()

  const line: Line = gateway.connect({
    address,
    httpPort: () => ports.http,
    send,
    changed: reconcile,
    rebooted(port) {
      if (port === undefined || port === ports.http) return
      ports.http = port
      shutServer()
      reconcile()
    }
  })

  function shutSocket(port: DatagramPort | 'group'): void {
    sockets.get(port)?.close()
    sockets.delete(port)
  }

  function shutServer(): void {
    if (server === undefined) return
    const closing = closeServer(server)
    server = undefined
    work = work.then(() => closing)
  }

  /** Closes sockets immediately and opens missing ones asynchronously. */
  function reconcile(): void {
    if (!line.isOpen('port-mapping')) shutSocket('port-mapping')
    if (!line.isOpen('ssdp')) for (const each of ['ssdp', 'group'] as const) shutSocket(each)
    if (!line.isOpen('http')) shutServer()
    work = work.then(openMissing).catch((error: unknown) => {
      failure = error
    })
  }

  async function openMissing(): Promise<void> {
    const heard = (port: DatagramPort, cast: Cast) => (bytes: Uint8Array, from: SocketAddress) => {
      if (cast === 'unicast' || isNeighbour(address, from.address)) line.datagram(port, bytes, from, cast)
    }
    const wanted = (port: DatagramPort | 'http'): boolean => !closed && line.isOpen(port)
    if (wanted('port-mapping') && !sockets.has('port-mapping')) {
      const socket = await openDatagramSocket({ address, port: ports.portMapping }, heard('port-mapping', 'unicast'))
      sockets.set('port-mapping', socket)
      ports.portMapping = socket.address().port
    }
    if (wanted('ssdp') && !sockets.has('ssdp')) {
      const socket = await openDatagramSocket({ address, port: ports.ssdp }, heard('ssdp', 'unicast'))
      sockets.set('ssdp', socket)
      ports.ssdp = socket.address().port
    }
    if (wanted('ssdp') && multicast && family === 4 && !sockets.has('group')) {
      const group = { address: '239.255.255.250', port: 1900 }
      sockets.set('group', await openDatagramSocket(group, heard('ssdp', 'multicast'), address))
    }
    if (wanted('http') && server === undefined) {
      server = await openHttpServer({ address, port: ports.http }, line, gateway.clock)
      const bound = server.address()
      if (bound !== null && typeof bound !== 'string') ports.http = bound.port
    }
    // A fault or `close` may have arrived while a socket was opening.
    if (closed || (sockets.has('port-mapping') && !wanted('port-mapping'))) shutSocket('port-mapping')
    if (closed || !wanted('ssdp')) for (const each of ['ssdp', 'group'] as const) shutSocket(each)
    if (closed || !wanted('http')) shutServer()
  }

  function send({ bytes, to, from, disguise, cast }: OutgoingDatagram): void {
    const socket = sockets.get(from)
    if (socket === undefined) return
    if (disguise !== undefined) return sendFromElsewhere(bytes, to, address, disguise)
    if (cast === 'unicast') return socket.send(bytes, to.port, to.address, () => undefined)
    const targets = from === 'ssdp' ? announceTo.ssdp : announceTo.portMapping
    for (const target of targets ?? []) socket.send(bytes, target.port, target.address, () => undefined)
    if (!multicast || family !== 4) return
    socket.setMulticastInterface(address)
    socket.send(bytes, to.port, to.address, () => undefined)
  }

  async function close(): Promise<void> {
    closed = true
    line.close()
    for (const each of ['port-mapping', 'ssdp', 'group'] as const) shutSocket(each)
    shutServer()
    await work
  }

  reconcile()
  await work
  if (failure !== undefined) {
    const cause = failure
    await close()
    const taken = cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
    throw natError(taken ? 'PORT_TAKEN' : 'UNREACHABLE', `cannot listen on ${address}`, { cause })
  }
  return {
    address,
    ports,
    settled: () => work,
    close,
    [Symbol.asyncDispose]: close
  }
}

/** Returns whether two addresses are in the same /24. */
const isNeighbour = (address: string, other: string): boolean =>
  address.replace(/\d+$/, '') === other.replace(/\d+$/, '')
