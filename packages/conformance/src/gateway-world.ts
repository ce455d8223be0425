import type { Network, Protocol, Strategy } from '@postern/interface'
import type { ExchangeHttp, OpenUdp } from '@postern/net'
import {
  createGateway,
  type FakeGateway,
  type GatewayOptions,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import type { Subject, World } from './subject.js'

/** A home in memory, on a virtual clock: a router with all three protocols, and a host behind it. */
export interface GatewayWorld extends World {
  /** The virtual clock of the world. */
  readonly clock: VirtualClock
  /** The router. */
  readonly gateway: FakeGateway
  /** Replaces `openUdp` of `@postern/net`. */
  readonly openUdp: OpenUdp
  /** Replaces `exchangeHttp` of `@postern/net`. */
  readonly exchangeHttp: ExchangeHttp
}

/** Options of `gatewayWorld()`. */
export interface GatewayWorldOptions {
  /** Creates the strategy under test with the sockets of this world. */
  readonly create: (world: GatewayWorld) => Strategy | Promise<Strategy>
  /** Additional options of the router.
   * @default all three protocols, and lifetimes of at most an hour */
  readonly gateway?: GatewayOptions
  /** Whether the host and the router have global IPv6 addresses too.
   * @default false */
  readonly ipv6?: boolean
}

const router = { 4: '192.168.1.1', 6: '2a0a:6::1' } as const
const host = { 4: '192.168.1.10', 6: '2a0a:6::10' } as const
const neighbour = '192.168.1.99'
/** The one-way delay, so that a test can abort between a request and its answer. */
const delayMs = 5

/** Creates the subject for a strategy that sends requests to the router: `conformance(gatewayWorld({ create }))`. */
export function gatewayWorld(options: GatewayWorldOptions): Subject<GatewayWorld> {
  const { create, gateway: besides, ipv6 = false } = options
  return { create, world: () => createWorld(besides, ipv6) }
}

function createWorld(besides: GatewayOptions | undefined, ipv6: boolean): GatewayWorld {
  const clock = virtualClock()
  const random = (): number => 0.5
  const gateway = createGateway({ random, maxLifetimeSeconds: 3600, ...besides, clock })
  const link = memoryNetwork({ clock, random, delayMs })
  link.attach(gateway, router[4])
  if (ipv6) link.attach(gateway, router[6])
  const { openUdp, exchangeHttp } = link.host(host[4], ...(ipv6 ? [host[6]] : []))
  const network: Network = {
    gateways: [
      { address: router[4], interface: 'eth0', localAddress: host[4] },
      ...(ipv6 ? [{ address: router[6], interface: 'eth0', localAddress: host[6] }] : [])
    ],
    addresses: [host[4], ...(ipv6 ? [host[6]] : [])]
  }
  return {
    clock,
    gateway,
    network,
    openUdp,
    exchangeHttp,
    mappings: () => gateway.mappings,
    // Lost datagrams are counted too.
    requests: () => link.sent + gateway.counters.description.requests + gateway.counters.control.requests,
    changes: () => changesAsked(gateway),
    violations: () => gateway.violations,
    openHandles: () => link.openSockets,
    faults: {
      silence: () => void gateway.inject({ kind: 'silent' }),
      refuse() {
        gateway.inject({ kind: 'result', code: 2 })
        gateway.inject({ kind: 'soap-fault', code: 606 })
      },
      occupy: (protocol, port) => occupy(protocol, port),
      shorten: () => void gateway.inject({ kind: 'grant', lifetimeSeconds: 600 }),
      slow: (ms) => void gateway.inject({ kind: 'late', ms, on: ['pcp', 'nat-pmp', 'control'] }),
      reboot: () => gateway.reboot(),
      move: () => gateway.setExternalAddress('1.2.3.5')
    }
  }

  /** Maps the port for another host, over NAT-PMP (RFC 6886 §3.3). */
  async function occupy(protocol: Protocol, port: number): Promise<void> {
    const request = new Uint8Array(12)
    const view = new DataView(request.buffer)
    view.setUint8(1, protocol === 'udp' ? 1 : 2)
    view.setUint16(4, port)
    view.setUint16(6, port)
    view.setUint32(8, 3600)
    const ended = new AbortController()
    const ignore = (): void => undefined
    const remote = { address: router[4], port: 5351 }
    const socket = await link
      .host(neighbour)
      .openUdp({ family: 4, remote, onMessage: ignore, onError: ignore }, { signal: ended.signal })
    socket.send(request)
    await clock.advance(4 * delayMs)
    ended.abort()
    if (!gateway.mappings.some(({ internalAddress }) => internalAddress === neighbour))
      throw new Error('the gateway of this world must support NAT-PMP, which the neighbour uses')
  }
}

/** Matches the names of requests that change mappings. */
const changing = /^map |^MAP$|^PEER$|^(Add|Delete|Update)/

const changesAsked = ({ counters }: FakeGateway): number =>
  Object.values(counters)
    .flatMap(({ operations }) => Object.entries(operations))
    .reduce((total, [name, count]) => (changing.test(name) ? total + count : total), 0)
