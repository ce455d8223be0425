import { createTraversal, type MappingEvent, type MappingEventName, type Traversal } from '@postern/core'
import { type Endpoint, isNatError, type Strategy } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import {
  createGateway,
  type FakeGateway,
  type MemoryHost,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { upnp } from '@postern/upnp'

export type StrategyName = 'pcp' | 'nat-pmp' | 'upnp'
export const strategyNames: readonly StrategyName[] = ['pcp', 'nat-pmp', 'upnp']

export const router = '192.168.1.1'
export const ours = '192.168.1.2'
const names: readonly MappingEventName[] = ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released']

export const endpoint = (port: number): Endpoint => ({ protocol: 'tcp', family: 4, address: '0.0.0.0', port })

export function strategyOf(name: StrategyName, { openUdp, exchangeHttp }: MemoryHost): Strategy {
  if (name === 'pcp') return pcp({ openUdp })
  return name === 'nat-pmp' ? natPmp({ openUdp }) : upnp({ openUdp, exchangeHttp })
}

/** A home on a virtual clock: one strategy, one gateway, and a record of the events. */
export interface Scene {
  readonly clock: VirtualClock
  readonly gateway: FakeGateway
  readonly traversal: Traversal
  readonly events: readonly MappingEvent[]
  /** `mapped 8080`, by internal port. */
  readonly told: (event: MappingEventName, port: number) => number
  /** Codes that are not in the registry: no failure may ever have one. */
  readonly strangeCodes: () => readonly string[]
  readonly hasRule: (port: number) => boolean
  readonly openSockets: () => number
  /** Stops while virtual time passes. */
  readonly stop: () => Promise<void>
}

/** Creates a scene. `between` wraps the sockets of the strategy. */
export function openScene(name: StrategyName, between: (host: MemoryHost) => MemoryHost = (host) => host): Scene {
  const clock = virtualClock()
  const link = memoryNetwork({ clock, delayMs: 1 })
  const gateway = createGateway({ clock, externalAddress: '11.0.0.2', epochSeconds: 10_000 })
  link.attach(gateway, router)
  const log = { debug: () => undefined, info: () => undefined }
  let seed = 7
  const random = (): number => {
    seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32
    return seed / 2 ** 32
  }
  const strategies = [strategyOf(name, between(link.host(ours)))]
  const traversal = createTraversal({ strategies, host: { clock, random, log } })
  const events: MappingEvent[] = []
  for (const each of names) traversal.addEventListener(each, ({ detail }) => events.push(detail))
  traversal.setNetwork({ gateways: [{ address: router, interface: 'eth0', localAddress: ours }], addresses: [ours] })
  return {
    clock,
    gateway,
    traversal,
    events,
    told: (event, port) => events.filter((each) => each.event === event && each.internal.port === port).length,
    strangeCodes() {
      const reasons = traversal.report().strategies.flatMap(({ reason }) => (reason === null ? [] : [reason.code]))
      const codes = [...reasons, ...events.flatMap((each) => (each.reasons ?? []).map(({ code }) => code))]
      return codes.filter((code) => !isNatError(Object.assign(new Error('x'), { code })) || code === 'STRATEGY_FAULT')
    },
    hasRule: (port) => gateway.mappings.some(({ internalPort }) => internalPort === port),
    openSockets: () => link.openSockets,
    async stop() {
      let over = false
      const stopped = traversal.stop().then(() => {
        over = true
      })
      for (let passed = 0; !over && passed < 60_000; passed += 100) await clock.advance(100)
      await stopped
    }
  }
}
