import { createTraversal } from '@postern/core'
import { formatMultiaddr, parseMultiaddr } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import {
  createPersonality,
  letHappen,
  memoryNetwork,
  type Personality,
  personalityNetwork,
  virtualClock
} from '@postern/testkit'
import { upnp } from '@postern/upnp'

const second = 1000
const hour = 3600 * second
/** Not a divisor of the intervals of the ladder, so that the checks fall at different moments each time. */
const lookEveryMs = 7 * second

/** The outcome of one host behind one router. */
export interface Outcome {
  readonly name: string
  readonly mappedBy: string | null
  /** The verdict half a minute after the start, and at the end. */
  readonly reached: boolean
  /** The number of all requests, including repeated datagrams. */
  readonly asked: number
  /** The results of all checks in between. */
  readonly reachedPercent: number
  readonly released: boolean
  readonly cause: string | null
  readonly advice: string
  /** What the host did wrong, what it left behind, and which oddities of the router never occurred. */
  readonly complaints: readonly string[]
}

/** Runs the whole ladder against a router: three hours of virtual time, then a clean stop. */
export async function liveWith(personality: Personality): Promise<Outcome> {
  const { port = 8080, family = 4, event, network: attach = {} } = personality
  const { router, host, router6, host6 } = personalityNetwork
  const clock = virtualClock()
  const link = memoryNetwork({ clock, delayMs: 1 })
  const gateway = createPersonality(personality, { clock, random: () => 0.5 })
  link.attach(gateway, router, attach)
  if (family === 6) link.attach(gateway, router6, attach)
  const { openUdp, exchangeHttp } = link.host(host, host6)
  let seed = 1
  const traversal = createTraversal({
    strategies: [pcp({ openUdp }), natPmp({ openUdp }), upnp({ openUdp, exchangeHttp })],
    host: {
      clock,
      random() {
        seed = (seed * 16_807) % 2_147_483_647
        return seed / 2_147_483_647
      },
      log: { debug: () => undefined, info: () => undefined }
    }
  })
  let mappedBy: string | null = null
  traversal.addEventListener('mapped', ({ detail }) => {
    mappedBy ??= detail.strategy
  })
  traversal.setNetwork({
    gateways: [
      { address: router, interface: 'eth0', localAddress: host },
      ...(family === 6 ? [{ address: router6, interface: 'eth0', localAddress: host6 }] : [])
    ],
    addresses: family === 6 ? [host, host6] : [host]
  })
  const own = family === 6 ? host6 : host
  traversal.addEndpoint({ protocol: 'tcp', family, address: own, port })

  /** Whether every reported address leads here. */
  const isReached = (): boolean => {
    const told = traversal.report().externalAddresses
    const ends = told.map((each) => {
      const { address, protocol, port: external } = parseMultiaddr(each) ?? { address: '', protocol: 'tcp', port: 0 }
      const end = gateway.deliver(protocol, address, external)
      return end && formatMultiaddr(end.address, protocol, end.port)
    })
    return ends.length > 0 && ends.every((end) => end === formatMultiaddr(own, 'tcp', port))
  }

  await traversal.start()
  await clock.advance(30 * second)
  const early = { mappedBy, isReached: isReached(), report: traversal.report() }
  let looks = 0
  let hits = 0
  const liveFor = async (ms: number): Promise<void> => {
    for (let leftMs = ms; leftMs > 0; leftMs -= lookEveryMs) {
      await clock.advance(Math.min(leftMs, lookEveryMs))
      looks += 1
      if (isReached()) hits += 1
    }
  }
  const untilEventMs = event?.afterMs ?? 0
  await liveFor(untilEventMs)
  if (event !== undefined) letHappen(gateway, event)
  await liveFor(3 * hour - untilEventMs)
  const late = { isReached: isReached(), report: traversal.report() }

  let isOver = false
  const stopped = traversal.stop().then(() => {
    isOver = true
  })
  for (let passedMs = 0; !isOver && passedMs < 60 * second; passedMs += 10) await clock.advance(10)
  await stopped
  const openSockets = link.openSockets
  // The last answers of the router are still on their way.
  await clock.advance(12 * second)
  const forwarded = gateway.mappings.filter(({ internalAddress }) => internalAddress === own)
  const asked = Object.values(gateway.counters).reduce((sum, { requests }) => sum + requests, 0)
  return {
    name: personality.name,
    asked,
    mappedBy: early.mappedBy,
    reached: early.isReached && late.isReached,
    released: forwarded.length === 0,
    reachedPercent: Math.floor((100 * hits) / looks),
    cause: early.report.cause,
    advice: early.report.advice.join(' '),
    complaints: [
      ...[...new Set(gateway.violations)].filter((each) => personality.expected.violations?.includes(each) !== true),
      ...(personality.faults ?? [])
        .filter((fault) => gateway.struckFaults.has(fault) === (personality.expected.avoided ?? false))
        .map(
          ({ kind }) => `the fault ${kind} has ${personality.expected.avoided === true ? 'struck' : 'never struck'}`
        ),
      ...(openSockets > 0 ? [`${openSockets} sockets are open`] : []),
      ...(clock.pending > 0 ? [`${clock.pending} timers are pending`] : []),
      ...(early.isReached === late.isReached ? [] : [`reached early ${early.isReached}, late ${late.isReached}`])
    ]
  }
}
