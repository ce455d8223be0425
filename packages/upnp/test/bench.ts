import type { Finding, GatewayDevice, Lease, Mapper, MapRequest, Network } from '@postern/interface'
import type { ExchangeHttp, OpenUdp } from '@postern/net'
import {
  createGateway,
  type FakeGateway,
  type GatewayOptions,
  type MemoryNetwork,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { afterEach, expect } from 'vitest'
import { type UpnpOptions, upnp } from '../src/index.js'

export const router = '192.168.1.1'
export const ours = '192.168.1.2'
export const external = '11.0.0.2'
export const home: Network = {
  gateways: [{ address: router, interface: 'eth0', localAddress: ours }],
  addresses: [ours]
}

/** A request for TCP port 8080. */
export const request: MapRequest = {
  endpoint: { protocol: 'tcp', family: 4, address: ours, port: 8080 },
  suggestedExternalPort: 8080,
  lifetimeMs: 7_200_000,
  key: new Uint8Array(16)
}

export const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })

export interface Bench {
  readonly clock: VirtualClock
  readonly link: MemoryNetwork
  readonly gateway: FakeGateway
  /** What was found, except for descriptions. */
  readonly found: readonly Finding[]
  /** How the router described itself, each time that it did. */
  readonly described: readonly GatewayDevice[]
  /** Returns the latest mapper of a family. */
  mapper(family?: 4 | 6): Mapper
  /** The codes of `absent` notices and the names of other notices, in order. */
  notices(): readonly string[]
  /** Advances the clock until a promise is settled. */
  within<T>(work: Promise<T>, ms?: number): Promise<T>
  map(request: MapRequest): Promise<Lease>
  /** The number of expected violations. */
  pardoned: number
  /** Marks the violations so far as expected. */
  pardon(): void
  stop(): Promise<void>
}

export interface BenchOptions {
  readonly gateway?: GatewayOptions
  readonly upnp?: UpnpOptions
  readonly network?: Network
  /** The address of the gateway on the link. */
  readonly addresses?: readonly string[]
  /** The location of its description. */
  readonly httpPort?: number
  /** Wraps the sockets of the strategy. */
  readonly wrap?: (openUdp: OpenUdp) => OpenUdp
  /** Wraps the HTTP of the strategy. */
  readonly wrapHttp?: (exchangeHttp: ExchangeHttp) => ExchangeHttp
  /** Called before anything is sent. */
  readonly prepare?: (gateway: FakeGateway, link: MemoryNetwork, clock: VirtualClock) => void
}

const benches = new Set<Bench>()

afterEach(async () => {
  const all = [...benches]
  benches.clear()
  for (const { stop, link, clock, gateway, pardoned } of all) {
    await stop()
    expect(link.openSockets).toBe(0)
    expect(clock.pending).toBe(0)
    expect(gateway.violations.slice(pardoned)).toEqual([])
  }
})

/** A host and a router on one virtual link, with a running discovery. */
export async function bench(options: BenchOptions = {}): Promise<Bench> {
  const { network = home, addresses = [router] } = options
  const clock = virtualClock()
  const link = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: external, protocols: ['upnp'], ...options.gateway })
  for (const address of addresses) link.attach(gateway, address, { httpPort: options.httpPort ?? 49_000 })
  options.prepare?.(gateway, link, clock)
  const found: Finding[] = []
  const described: GatewayDevice[] = []
  const take = (finding: Finding): void => {
    if (finding.kind === 'notice' && finding.what === 'described') described.push(finding.device)
    else found.push(finding)
  }
  const end = new AbortController()
  const log = { debug: () => undefined, info: () => undefined }
  const own = network.gateways.map(({ localAddress }) => localAddress)
  const host = link.host(...new Set(own))
  const openUdp = options.wrap?.(host.openUdp) ?? host.openUdp
  const exchangeHttp = options.wrapHttp?.(host.exchangeHttp) ?? host.exchangeHttp
  const discovery = upnp({ ...host, openUdp, exchangeHttp, ...options.upnp })({ clock, random: Math.random, log })
  const running = discovery.discover(network, take, end)
  running.catch(() => undefined)
  const made: Bench = {
    clock,
    link,
    gateway,
    found,
    described,
    mapper(family = 4) {
      const mapper = found.findLast((finding) => finding.kind === 'mapper' && finding.family === family)
      if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
      return mapper
    },
    notices: () =>
      found.flatMap((finding) =>
        finding.kind !== 'notice' ? [] : [finding.what === 'absent' ? finding.reason.code : finding.what]
      ),
    async within(work, ms = 60_000) {
      const state = { done: false }
      const settled = work.finally(() => {
        state.done = true
      })
      settled.catch(() => undefined)
      for (let passed = 0; !state.done && passed <= ms; passed += 50) await clock.advance(passed === 0 ? 0 : 50)
      return settled
    },
    pardoned: 0,
    pardon() {
      made.pardoned = gateway.violations.length
    },
    map: (wish) => made.within(made.mapper().map(wish, call())),
    async stop() {
      end.abort()
      await clock.advance(0)
      await running
    }
  }
  benches.add(made)
  await clock.advance(0)
  return made
}

/** Returns the router's list in short form. */
export const entries = ({ gateway }: Bench): readonly string[] =>
  gateway.mappings.map((each) => `${each.protocol} ${each.externalPort} ${each.internalAddress} ${each.internalPort}`)

/** Adds an entry of another host to the router. */
export async function occupy(
  { gateway, link, clock }: Pick<Bench, 'gateway' | 'link' | 'clock'>,
  address: string,
  internalPort: number
): Promise<void> {
  const network = { gateways: [{ address: router, interface: 'eth0', localAddress: address }], addresses: [address] }
  const end = new AbortController()
  const log = { debug: () => undefined, info: () => undefined }
  const other = upnp(link.host(address))({ clock, random: Math.random, log })
  const before = gateway.mappings.length
  const running = other.discover(
    network,
    (finding) => {
      if (finding.kind !== 'mapper') return
      const endpoint = { protocol: 'tcp', family: 4, address, port: internalPort } as const
      void finding.map({ ...request, endpoint }, call())
    },
    end
  )
  // An IGD:1 answers the second search.
  await clock.advance(100)
  end.abort()
  await running
  expect(gateway.mappings).toHaveLength(before + 1)
}
