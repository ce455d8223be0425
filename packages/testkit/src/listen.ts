import type { Socket as DatagramSocket } from 'node:dgram'
import type { Server } from 'node:net'
import { familyOf, natError } from '@postern/interface'
import type { SocketAddress } from '@postern/net'
import type { FakeGateway } from './gateway.js'
import { openDatagramSocket, sendFromElsewhere } from './listen-udp.js'
import { closeServer, openHttpServer } from './listen-http.js'
import type { Cast, DatagramPort, Line, OutgoingDatagram } from './transport.js'

export interface ListenOptions {
  /** Must be a loopback address. @default on Linux one of its own in 127.0.0.0/8, elsewhere 127.0.0.1 */
  readonly address?: string
  /** 0 takes any free port. @default 5351, 1900 and 0; where 127.0.0.1 is all there is, 0 for each */
  readonly ports?: { readonly portMapping?: number; readonly ssdp?: number; readonly http?: number }
  /** Hears SSDP searches by multicast, from its own /24 only so that tests do not meet, and announces by multicast; on
   * the loopback interface. @default true on Linux */
  readonly multicast?: boolean
  /** Where announcements go besides: for platforms and tests without multicast. @default nowhere */
  readonly announceTo?: { readonly portMapping?: readonly SocketAddress[]; readonly ssdp?: readonly SocketAddress[] }
}

/** A gateway with real sockets. */
export interface ListeningGateway {
  readonly address: string
  readonly ports: { readonly portMapping: number; readonly ssdp: number; readonly http: number }
  /** Resolves when sockets that a fault or a reboot closed or opened are so. */
  settled(): Promise<void>
  /** Leaves no handle. Twice is once. */
  close(): Promise<void>
}

const onLinux = process.platform === 'linux'

/** Opens the gateway's sockets on a loopback address.
 *
 * Rejects with `PORT_TAKEN` where a port is in use, and `UNREACHABLE` where the address cannot be bound to. */
export async function listen(gateway: FakeGateway, options: ListenOptions = {}): Promise<ListeningGateway> {
  if (options.address !== undefined || !onLinux) return await listenOn(gateway, options.address ?? '127.0.0.1', options)
  for (let attempt = 0; ; attempt += 1) {
    const part = (): number => 1 + Math.floor(Math.random() * 253)
    try {
      return await listenOn(gateway, `127.${part()}.${part()}.1`, options)
    } catch (error) {
      // Somebody else's test has it.
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
  /** Sockets open and close one after the other. */
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
    const closed = closeServer(server)
    server = undefined
    work = work.then(() => closed)
  }

  /** Closes what must be closed at once, and opens what must be open soon. */
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
    // A fault, or the end, may have come while something was being opened.
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
    close
  }
}

/** Whether an address is in the same /24. */
const isNeighbour = (address: string, other: string): boolean =>
  address.replace(/\d+$/, '') === other.replace(/\d+$/, '')
