import { type Clock, familyOf, natError } from '@postern/interface'
import type { ExchangeHttp, OpenUdp, SocketAddress, UdpOptions, UdpSocket } from '@postern/net'
import type { FakeGateway } from './gateway.js'
import { exchangeInMemory } from './memory-http.js'
import type { Line, Outlet } from './transport.js'

/** Options of `memoryNetwork()`. */
export interface MemoryNetworkOptions {
  /** The clock for delays. */
  readonly clock: Clock
  /** Decides which datagrams are lost. @default `Math.random` */
  readonly random?: () => number
  /** The percentage of lost datagrams. @default 0 */
  readonly lossPercent?: number
  /** The one-way delay of a datagram, in milliseconds. @default 0: it arrives in the next microtask */
  readonly delayMs?: number
}

/** Replaces the sockets of `@postern/net` for one host. */
export interface MemoryHost {
  /** Replaces `openUdp` of `@postern/net`. */
  readonly openUdp: OpenUdp
  /** Replaces `exchangeHttp` of `@postern/net`. */
  readonly exchangeHttp: ExchangeHttp
}

/** A simulated link with hosts and gateways. It can lose and delay datagrams, and runs on one clock. */
export interface MemoryNetwork {
  /** Adds a host with these addresses, at most one of each family. */
  host(...addresses: readonly string[]): MemoryHost
  /**
   * Attaches a gateway to the link and returns a function that detaches it. A gateway may have an address of each
   * family.
   */
  attach(gateway: FakeGateway, address: string, options?: AttachOptions): () => void
  /** The number of sent datagrams. */
  readonly sent: number
  /** The number of datagrams that the link has lost. */
  readonly lost: number
  /** The number of open sockets; 0 after a test without leaks. */
  readonly openSockets: number
}

/** Options of `MemoryNetwork.attach`. */
export interface AttachOptions {
  /** The HTTP port of the description. @default 49000 */
  readonly httpPort?: number
  /** An additional HTTP port. @default none */
  readonly controlPort?: number
  /**
   * The external address of a router between the link and the gateway. The gateway sees every host at that address, and
   * a datagram with a time to live of 1 does not reach it. @default the gateway is on the link
   */
  readonly behind?: string
}

interface Attached {
  readonly line: Line
  readonly controlPort: number | undefined
  readonly behind: string | undefined
  httpPort: number
}

interface Socket {
  readonly local: SocketAddress
  readonly options: UdpOptions
  readonly close: () => void
}

const portMappingPort = 5351
const ssdpPort = 1900

/** Creates an empty network. */
export function memoryNetwork(options: MemoryNetworkOptions): MemoryNetwork {
  const { clock, random = Math.random, lossPercent = 0, delayMs = 0 } = options
  const gateways = new Map<string, Attached>()
  const hosts = new Set<string>()
  const sockets = new Map<string, Socket>()
  const groups = new Map<string, Set<Socket>>()
  /** The sockets that a gateway behind another router sees at the address of that router. */
  const translated = new Map<string, SocketAddress>()
  const never = new AbortController().signal
  let sent = 0
  let lost = 0
  let nextPort = 49_152

  /** Delivers a datagram, or loses it. */
  function carry(arrive: () => void): void {
    sent += 1
    if (lossPercent > 0 && random() * 100 < lossPercent) {
      lost += 1
      return
    }
    if (delayMs > 0) clock.sleep(delayMs, { signal: never }).then(arrive, () => undefined)
    else queueMicrotask(arrive)
  }

  function hear(socket: Socket, bytes: Uint8Array, from: SocketAddress): void {
    const { remote, onMessage } = socket.options
    // A connected socket receives only from its peer.
    if (remote !== undefined && (remote.address !== from.address || remote.port !== from.port)) return
    if (sockets.get(keyOf(socket.local)) === socket || groupsOf(socket)?.has(socket) === true) onMessage(bytes, from)
  }

  const groupsOf = (socket: Socket): Set<Socket> | undefined =>
    socket.options.multicast === undefined
      ? undefined
      : groups.get(keyOf({ address: socket.options.multicast.group, port: socket.local.port }))

  function deliver(bytes: Uint8Array, from: SocketAddress, to: SocketAddress): void {
    const socket = sockets.get(keyOf(to))
    if (socket !== undefined) hear(socket, bytes, from)
    else for (const each of groups.get(keyOf(to)) ?? []) hear(each, bytes, from)
  }

  /** Sends a datagram of a host. */
  function transmit(socket: Socket, bytes: Uint8Array, to: SocketAddress): void {
    const copy = bytes.slice()
    const from = socket.local
    carry(() => {
      const port = to.port === portMappingPort ? 'port-mapping' : to.port === ssdpPort ? 'ssdp' : undefined
      if (isMulticast(to.address)) {
        if (port !== undefined) {
          const family = familyOf(to.address)
          for (const [address, { line }] of gateways) {
            if (familyOf(address) === family && line.isOpen(port)) line.datagram(port, copy, from, 'multicast')
          }
        }
        for (const each of groups.get(keyOf(to)) ?? []) if (each !== socket) hear(each, copy, from)
        return
      }
      const gateway = gateways.get(to.address)
      const behind = gateway?.behind
      if (behind !== undefined && (socket.options.ttl ?? 64) < 2) return
      if (behind !== undefined) translated.set(keyOf({ address: behind, port: from.port }), from)
      const source = behind === undefined ? from : { address: behind, port: from.port }
      if (gateway !== undefined && port !== undefined && gateway.line.isOpen(port))
        return gateway.line.datagram(port, copy, source, 'unicast')
      if (sockets.has(keyOf(to))) return deliver(copy, from, to)
      // The host exists but the port is closed: ICMP reports it to connected sockets.
      if ((gateway !== undefined || hosts.has(to.address)) && socket.options.remote !== undefined) {
        carry(() => {
          if (sockets.get(keyOf(from)) === socket) socket.options.onError(natError('REFUSED', 'the port is closed'))
        })
      }
    })
  }

  function open(addresses: readonly string[], udp: UdpOptions, signal: AbortSignal): UdpSocket {
    signal.throwIfAborted()
    const first = addresses.find((address) => familyOf(address) === udp.family)
    if (first === undefined) throw natError('UNREACHABLE', `cannot send: no address of family ${udp.family}`)
    const asked = udp.local?.address
    if (asked !== undefined && !isAny(asked) && !addresses.includes(asked) && asked !== udp.multicast?.group)
      throw natError('UNREACHABLE', `cannot send: ${asked} is not an address of this host`)
    const own = asked !== undefined && addresses.includes(asked) ? asked : first
    const shared = udp.multicast !== undefined
    let port = udp.local?.port ?? 0
    if (port === 0) {
      do {
        port = nextPort
        nextPort = nextPort === 65_535 ? 49_152 : nextPort + 1
      } while (sockets.has(keyOf({ address: own, port })))
    }
    const local = { address: own, port }
    if (!shared && sockets.has(keyOf(local))) throw natError('PORT_TAKEN', 'the local port is in use')

    const close = (): void => {
      signal.removeEventListener('abort', close)
      if (shared) groupsOf(socket)?.delete(socket)
      else if (sockets.get(keyOf(local)) === socket) sockets.delete(keyOf(local))
    }
    const socket: Socket = { local, options: udp, close }
    if (udp.multicast === undefined) sockets.set(keyOf(local), socket)
    else {
      const key = keyOf({ address: udp.multicast.group, port })
      const members = groups.get(key) ?? new Set()
      groups.set(key, members.add(socket))
    }
    signal.addEventListener('abort', close, { once: true })
    const isOpen = (): boolean => sockets.get(keyOf(local)) === socket || groupsOf(socket)?.has(socket) === true
    return {
      local,
      send(bytes, to) {
        const target = to ?? udp.remote
        if (isOpen() && target !== undefined) transmit(socket, bytes, target)
      },
      close
    }
  }

  function attach(
    gateway: FakeGateway,
    address: string,
    { httpPort = 49_000, controlPort, behind }: AttachOptions
  ): () => void {
    const outlet: Outlet = {
      address,
      httpPort: () => attached.httpPort,
      send({ bytes, to, from, disguise }) {
        const port = from === 'ssdp' ? ssdpPort : portMappingPort
        const source = {
          address: disguise === 'address' ? strangerOf(address) : address,
          port: disguise === 'port' ? port + 1 : port
        }
        if (familyOf(to.address) === familyOf(address))
          carry(() => deliver(bytes, source, translated.get(keyOf(to)) ?? to))
      },
      changed: () => undefined,
      rebooted(port) {
        attached.httpPort = port ?? attached.httpPort
      }
    }
    const attached: Attached = { line: gateway.connect(outlet), httpPort, controlPort, behind }
    gateways.set(address, attached)
    return () => {
      attached.line.close()
      if (gateways.get(address) === attached) gateways.delete(address)
    }
  }

  return {
    host(...addresses) {
      for (const address of addresses) {
        if (familyOf(address) === undefined) throw new TypeError(`not an IP address: ${address}`)
        hosts.add(address)
      }
      return {
        openUdp: async (udp, { signal }) => open(addresses, udp, signal),
        exchangeHttp: (exchange, call) =>
          exchangeInMemory(exchange, call, {
            addresses,
            delayMs,
            seenAs: (address) => gateways.get(address)?.behind,
            find: (address, port) => {
              const gateway = gateways.get(address)
              if (gateway === undefined) return hosts.has(address) ? 'refused' : undefined
              const isServed = gateway.httpPort === port || gateway.controlPort === port
              return isServed && gateway.line.isOpen('http') ? gateway.line : 'refused'
            }
          })
      }
    },
    attach: (gateway, address, link = {}) => attach(gateway, address, link),
    get sent() {
      return sent
    },
    get lost() {
      return lost
    },
    get openSockets() {
      let count = sockets.size
      for (const members of groups.values()) count += members.size
      return count
    }
  }
}

const keyOf = ({ address, port }: SocketAddress): string => `${address} ${port}`

const isMulticast = (address: string): boolean => /^(22[4-9]|23\d)\.|^ff/i.test(address)

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** Returns another address of the same link. */
const strangerOf = (address: string): string =>
  address.includes(':') ? `${address.replace(/[^:]*$/, '')}bad` : address.replace(/\d+$/, '254')
