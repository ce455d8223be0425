import type { Finding, Lease, Mapper, MapRequest, Network } from '@postern/interface'
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

/** A wish for TCP port 8080. */
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
  readonly found: readonly Finding[]
  /** The latest one of the family. */
  mapper(family?: 4 | 6): Mapper
  /** Codes of `absent` notices, and other notices, in the order in which they came. */
  notices(): readonly string[]
  /** Lets virtual time pass until a promise is settled. */
  within<T>(work: Promise<T>, ms?: number): Promise<T>
  map(request: MapRequest): Promise<Lease>
  /** How many violations were meant. */
  pardoned: number
  /** The violations so far were meant, and are not looked at in the end. */
  pardon(): void
  stop(): Promise<void>
}

export interface BenchOptions {
  readonly gateway?: GatewayOptions
  readonly upnp?: UpnpOptions
  readonly network?: Network
  /** Where the gateway is on the link. */
  readonly addresses?: readonly string[]
  /** Where it serves its description. */
  readonly httpPort?: number
  /** Stands between the strategy and the sockets. */
  readonly wrap?: (openUdp: OpenUdp) => OpenUdp
  /** Stands between the strategy and HTTP. */
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

/** A host and a router on one virtual link, with upnp discovering. */
export async function bench(options: BenchOptions = {}): Promise<Bench> {
  const { network = home, addresses = [router] } = options
  const clock = virtualClock()
  const link = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: external, protocols: ['upnp'], ...options.gateway })
  for (const address of addresses) link.attach(gateway, address, { httpPort: options.httpPort ?? 49_000 })
  options.prepare?.(gateway, link, clock)
  const found: Finding[] = []
  const end = new AbortController()
  const log = { debug: () => undefined, info: () => undefined }
  const own = network.gateways.map(({ localAddress }) => localAddress)
  const host = link.host(...new Set(own))
  const openUdp = options.wrap?.(host.openUdp) ?? host.openUdp
  const exchangeHttp = options.wrapHttp?.(host.exchangeHttp) ?? host.exchangeHttp
  const discovery = upnp({ ...host, openUdp, exchangeHttp, ...options.upnp })({ clock, random: Math.random, log })
  const running = discovery.discover(network, (finding) => found.push(finding), end)
  running.catch(() => undefined)
  const made: Bench = {
    clock,
    link,
    gateway,
    found,
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

/** What is in the router's list, shortly. */
export const entries = ({ gateway }: Bench): readonly string[] =>
  gateway.mappings.map((each) => `${each.protocol} ${each.externalPort} ${each.internalAddress} ${each.internalPort}`)

/** An entry of the router that is not ours. */
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
