import type { EndpointOwners } from '@postern/core'
import { memoryStore } from '@postern/core'
import type { NatError } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import {
  createGateway,
  type FakeGateway,
  type GatewayOptions,
  type MemoryNetwork,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { upnp } from '@postern/upnp'
import { NatAPI, type NatAPIOptions } from '../../src/index.js'

/** A home on the virtual clock: a router in memory, and clients behind it. */
export interface Home {
  readonly clock: VirtualClock
  readonly network: MemoryNetwork
  readonly router: FakeGateway
  /** What the first hop says against external addresses. */
  readonly contradicted: Map<string, NatError>
  readonly log: string[]
  client(options?: NatAPIOptions): NatAPI
  /** Advances the time until the work is done. */
  done<T>(work: Promise<T>): Promise<T>
  /** Moves this host to a network without a router, and back. */
  unplug(): void
  plug(): void
}

/** No other program maps the same port. */
const alone: EndpointOwners = {
  join: () => ({
    agree: async (_gateway, key) => key,
    holds: () => undefined,
    others: async () => [],
    leave: async () => [],
    end: () => Promise.resolve()
  }),
  holders: async () => []
}

export function openHome(options: GatewayOptions = {}): Home {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const router = createGateway({ clock, random: () => 0.5, ...options })
  network.attach(router, '192.168.1.1')
  const { openUdp, exchangeHttp } = network.host('192.168.1.2')
  const contradicted = new Map<string, NatError>()
  const log: string[] = []
  let isPlugged = true
  const line = (text: string): void => void log.push(text)

  return {
    clock,
    network,
    router,
    contradicted,
    log,
    client: (own = {}) =>
      new NatAPI({
        strategies: [pcp({ openUdp }), natPmp({ openUdp }), upnp({ openUdp, exchangeHttp })],
        store: memoryStore(),
        owners: alone,
        host: { clock, random: () => 0.5, log: { debug: line, info: line } },
        checkExternalAddress: async (address) => contradicted.get(address),
        findNetwork: async () =>
          isPlugged
            ? {
                gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
                addresses: ['192.168.1.2']
              }
            : { gateways: [], addresses: [] },
        ...own
      }),
    async done(work) {
      let isOver = false
      const over = work.finally(() => (isOver = true))
      over.catch(() => undefined)
      while (!isOver) await clock.advance(50)
      return over
    },
    unplug() {
      isPlugged = false
    },
    plug() {
      isPlugged = true
    }
  }
}
