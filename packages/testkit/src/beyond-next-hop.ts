import type { Finding, Gateway, Mapper, MapRequest, Strategy } from '@postern/interface'
import { type VirtualClock, virtualClock } from './clock.js'
import { createGateway, type FakeGateway } from './gateway.js'
import { type MemoryHost, memoryNetwork } from './memory-network.js'

const localAddress = '192.168.1.2'
const nextHop: Gateway = { address: '192.168.1.1', interface: 'eth0', localAddress }
/** The address of the next hop in the network of the router behind it. */
const clientAddress = '192.168.0.2'
const external = '11.0.0.2'
/** The address of the router behind the next hop, and one where there is none. */
const guesses = ['192.168.0.1', '192.168.0.254'] as const

/** The options of {@link searchBeyondNextHop}. */
export interface BeyondNextHopOptions {
  /** Changes the router behind the next hop before the search. */
  readonly prepare?: (gateway: FakeGateway) => void
  /** Whether the next hop translates addresses.
   * @default true */
  readonly isTranslated?: boolean
  /** Whether the address of the next hop behind it is known.
   * @default true */
  readonly isClientAddressKnown?: boolean
}

/** A search for a router behind the next hop, and the fake one that is there. */
export interface BeyondNextHop {
  readonly clock: VirtualClock
  /** The router behind the next hop, at 192.168.0.1; its external address is 11.0.0.2. */
  readonly gateway: FakeGateway
  /** What the strategy has found so far. */
  readonly found: readonly Finding[]
  /** A request for the port 8081 of the next hop. */
  readonly request: MapRequest
  /** Returns the first mapper that was found. Throws an Error if there is none. */
  mapper(): Mapper
  /** Lets the time pass until `work` settles, at most a minute. */
  within<T>(work: Promise<T>): Promise<T>
  /** Ends the search. Resolves to what it left: open sockets and timers, and violations of the protocol. */
  end(): Promise<{ readonly sockets: number; readonly timers: number; readonly violations: readonly string[] }>
}

/** Starts a search for a router behind the next hop, at 192.168.0.1 and 192.168.0.254, as core does it for two routers in a row.
 * `strategyOf` gets the sockets of the host and the address of the next hop. */
export function searchBeyondNextHop(
  strategyOf: (host: MemoryHost, gateway: string) => Strategy,
  { prepare, isTranslated = true, isClientAddressKnown = true }: BeyondNextHopOptions = {}
): BeyondNextHop {
  const clock = virtualClock()
  const link = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: external })
  link.attach(gateway, guesses[0], isTranslated ? { behind: clientAddress } : {})
  prepare?.(gateway)
  const found: Finding[] = []
  const end = new AbortController()
  const log = { debug: () => undefined, info: () => undefined }
  const discovery = strategyOf(link.host(localAddress), nextHop.address)({ clock, random: () => 0.5, log })
  if (discovery.asksBeyond !== true) throw new Error(`${discovery.name} does not ask behind the next hop`)
  const through = isClientAddressKnown ? { gateway: nextHop, clientAddress } : { gateway: nextHop }
  const gateways = guesses.map((address): Gateway => ({ address, interface: 'eth0', localAddress, through }))
  const network = { gateways, addresses: [clientAddress] }
  const running = discovery.discover(network, (finding) => found.push(finding), end)

  return {
    clock,
    gateway,
    found,
    request: {
      endpoint: { protocol: 'tcp', family: 4, address: clientAddress, port: 8081 },
      suggestedExternalPort: 8080,
      lifetimeMs: 600_000,
      key: new Uint8Array(16)
    },
    mapper() {
      const mapper = found.find((finding) => finding.kind === 'mapper')
      if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
      return mapper
    },
    async within(work) {
      let isOver = false
      const settled = work.finally(() => (isOver = true))
      settled.catch(() => undefined)
      for (let passed = 0; !isOver && passed < 60_000; passed += 100) await clock.advance(100)
      return settled
    },
    async end() {
      end.abort()
      await clock.advance(0)
      await running
      return { sockets: link.openSockets, timers: clock.pending, violations: gateway.violations }
    }
  }
}
