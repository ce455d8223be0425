import { createTraversal, type PolicyOptions } from '@postern/core'
import type { Endpoint, Strategy } from '@postern/interface'
import type { OpenUdp } from '@postern/net'
import { createGateway, type FakeGateway, type MemoryHost, memoryNetwork, type VirtualClock } from '@postern/testkit'
import { seeded } from './seeded.js'

export const second = 1000
export const minute: number = 60 * second
export const hour: number = 60 * minute
export const day: number = 24 * hour

const router = '192.168.1.1'
const ours = '192.168.1.2'

export interface HomeOptions {
  readonly protocol: 'pcp' | 'nat-pmp' | 'upnp'
  readonly strategy: (host: MemoryHost) => Strategy
  readonly seed: number
  /** How many endpoints are wanted. */
  readonly wants: number
  readonly policy: PolicyOptions
  /** How often the router restarts, on average. */
  readonly rebootEveryMs: number
}

/** A time without a mapping after a restart of the router. */
export interface Gap {
  readonly port: number
  /** Since when the router was back, in ms: before that nothing could be mapped. */
  readonly ms: number
  /** When the host received the router's announcement, also since the router was back; undefined if it never did. */
  readonly heardMs: number | undefined
}

/** One host behind its own router, on a link that loses every tenth datagram. */
export interface Home {
  readonly gateway: FakeGateway
  /** The gaps that have closed, and those that are still open. */
  readonly gaps: () => readonly Gap[]
  /** Leases that the host gave up although its router had not restarted. */
  readonly lapses: () => number
  readonly renewals: () => number
  readonly reboots: () => number
  /** Whether the router has one mapping for each wanted port and no other, except for those that a reboot took, which
   * are in {@link Home.gaps}. */
  readonly isWhole: () => boolean
  /** Releases everything. */
  stop(): Promise<void>
  /** Open sockets, and mappings that were neither released nor reported: the router may not have answered. */
  readonly leftOver: () => number
}

/** A reboot that took a mapping. */
interface Outage {
  backMs: number | undefined
  heardMs: number | undefined
}

export async function openHome(clock: VirtualClock, options: HomeOptions): Promise<Home> {
  const { protocol, strategy, seed, wants, policy, rebootEveryMs } = options
  const random = seeded(seed)
  const link = memoryNetwork({ clock, random, lossPercent: 10 })
  const gateway = createGateway({
    clock,
    random,
    protocols: [protocol],
    externalAddress: '11.0.0.2',
    epochSeconds: 3600
  })
  let detach = link.attach(gateway, router)
  const isInRouter = (port: number): boolean => gateway.mappings.some(({ internalPort }) => internalPort === port)
  const host = link.host(ours)
  const ports = Array.from({ length: wants }, (_, index) => 8080 + index)
  const outages = new Map<number, Outage>()
  const closed: Gap[] = []
  const unreleased = new Set<number>()
  let lapses = 0
  let renewals = 0
  let reboots = 0

  /** Records when an announcement of a restarted router arrives. */
  const openUdp: OpenUdp = (udp, call) =>
    host.openUdp(
      {
        ...udp,
        onMessage(bytes, from) {
          for (const outage of udp.multicast === undefined ? [] : outages.values()) {
            if (outage.backMs !== undefined) outage.heardMs ??= clock.monotonicMs() - outage.backMs
          }
          udp.onMessage(bytes, from)
        }
      },
      call
    )

  const traversal = createTraversal({
    strategies: [strategy({ ...host, openUdp })],
    host: { clock, random, log: { debug: () => undefined, info: () => undefined } },
    policy
  })
  const gapOf = (port: number, { backMs, heardMs }: Outage): readonly Gap[] =>
    backMs === undefined ? [] : [{ port, ms: clock.monotonicMs() - backMs, heardMs }]
  function isMapped(port: number): void {
    const outage = outages.get(port)
    // A renewal that was answered before the router went down does not count.
    if (outage?.backMs === undefined || !isInRouter(port)) return
    outages.delete(port)
    closed.push(...gapOf(port, outage))
  }
  traversal.addEventListener('mapped', ({ detail }) => isMapped(detail.internal.port))
  traversal.addEventListener('renewed', ({ detail }) => {
    renewals += 1
    isMapped(detail.internal.port)
  })
  traversal.addEventListener('lost', ({ detail }) => {
    if (!outages.has(detail.internal.port)) lapses += 1
  })
  traversal.addEventListener('failed', ({ detail }) => unreleased.add(detail.internal.port))
  traversal.setNetwork({
    gateways: [{ address: router, interface: 'eth0', localAddress: ours }],
    addresses: [ours]
  })
  for (const port of ports) {
    const endpoint: Endpoint = { protocol: 'tcp', family: 4, address: '0.0.0.0', port }
    traversal.addEndpoint(endpoint)
  }
  await traversal.start()

  const over = new AbortController()
  async function reboot(): Promise<void> {
    reboots += 1
    detach()
    for (const port of ports) outages.set(port, { backMs: undefined, heardMs: undefined })
    await clock.sleep(20 * second + random() * 100 * second, over)
    gateway.reboot()
    detach = link.attach(gateway, router)
    for (const outage of outages.values()) outage.backMs = clock.monotonicMs()
    // Three of four routers announce that they are back, and some announcements are lost.
    if (random() < 0.75) gateway.announce()
  }
  const life = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(rebootEveryMs * (0.25 + 1.5 * random()), over)
      await reboot()
    }
  }
  const living = life().catch(() => undefined)

  return {
    gateway,
    gaps: () => [...closed, ...[...outages].flatMap(([port, outage]) => gapOf(port, outage))],
    lapses: () => lapses,
    renewals: () => renewals,
    reboots: () => reboots,
    isWhole: () => gateway.mappings.length <= wants && ports.every((port) => outages.has(port) || isInRouter(port)),
    async stop() {
      over.abort()
      await living
      unreleased.clear()
      await traversal.stop()
    },
    leftOver: () =>
      link.openSockets + gateway.mappings.filter(({ internalPort }) => !unreleased.has(internalPort)).length
  }
}
