import { createTraversal, type MappingEventName } from '@postern/core'
import { createGateway, type Fault, memoryNetwork, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Subject, subjects } from './subjects.js'

const second = 1000
const hour = 3600 * second
const router = { 4: '192.168.1.1', 6: '2a00:1::1' }
const ours = { 4: '192.168.1.2', 6: '2a00:1::2' }

/** How answers arrive, besides being late. */
const manners: readonly (readonly [string, (subject: Subject, lateMs: number) => readonly Fault[]])[] = [
  ['once', () => []],
  ['three times', ({ datagrams }) => [{ kind: 'duplicate', copies: 3, on: datagrams }]],
  ['once more after the next question', ({ datagrams }) => [{ kind: 'stale', on: datagrams }]],
  [
    'after those to later questions',
    ({ datagrams }, lateMs) =>
      [1, 4, 9].map((after) => ({ kind: 'late', ms: lateMs + 2000, on: datagrams, after, times: 1 }))
  ]
]

const cases = [0, 1500, 5000].flatMap((lateMs) => manners.map(([manner, faultsOf]) => ({ lateMs, manner, faultsOf })))

describe.each(subjects)('$title, where each answer comes', (subject) => {
  it.each(cases)(
    '$lateMs ms late, $manner: maps once, keeps the mapping and its spacing, and leaves nothing',
    async ({ lateMs, faultsOf }) => {
      const { family, protocol, make, services } = subject
      const clock = virtualClock()
      const link = memoryNetwork({ clock, delayMs: 1 })
      const gateway = createGateway({
        clock,
        random: () => 0.5,
        externalAddress: '11.0.0.2',
        epochSeconds: 10_000,
        protocols: [protocol]
      })
      for (const address of Object.values(router)) link.attach(gateway, address)
      for (const fault of faultsOf(subject, lateMs)) gateway.inject(fault)
      if (lateMs > 0) gateway.inject({ kind: 'late', ms: lateMs, on: services })
      const traversal = createTraversal({
        strategies: [make(link.host(...Object.values(ours)))],
        host: { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
      })
      const told = new Map<MappingEventName, number>()
      const times = (name: MappingEventName): number => told.get(name) ?? 0
      for (const name of ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released'] as const)
        traversal.addEventListener(name, () => told.set(name, times(name) + 1))
      traversal.setNetwork({
        gateways: ([4, 6] as const).map((each) => ({
          address: router[each],
          interface: 'eth0',
          localAddress: ours[each]
        })),
        addresses: Object.values(ours)
      })
      traversal.addEndpoint({ protocol: 'tcp', family, address: ours[family], port: 8080 })
      await traversal.start()

      const external = { 4: '11.0.0.2', 6: ours[6] }[family]
      const isReached = (): boolean => gateway.deliver('tcp', external, 8080)?.port === 8080
      const whole = [`/ip${family}/${external}/tcp/8080`]
      await clock.advance(60 * second)
      expect({ isReached: isReached(), addresses: traversal.report().externalAddresses }).toEqual({
        isReached: true,
        addresses: whole
      })
      expect([times('mapped'), times('changed'), times('lost')]).toEqual([1, 0, 0])

      await clock.advance(3 * hour)
      expect({ isReached: isReached(), addresses: traversal.report().externalAddresses }).toEqual({
        isReached: true,
        addresses: whole
      })
      expect([times('mapped'), times('changed'), times('lost')]).toEqual([1, 0, 0])
      expect(times('renewed')).toBeGreaterThan(0)
      const service = protocol === 'upnp' ? 'control' : protocol
      const granted = gateway.counters[service].maps + gateway.counters[service].renewals
      // A believed grant was really made, and no answer to one is believed twice.
      expect(times('mapped') + times('renewed')).toBeLessThanOrEqual(granted)

      gateway.reboot()
      gateway.announce()
      await clock.advance(90 * second)
      expect(isReached()).toBe(true)

      let isOver = false
      const stopped = traversal.stop().then(() => {
        isOver = true
      })
      for (let passedMs = 0; !isOver && passedMs < 60 * second; passedMs += 10) await clock.advance(10)
      await stopped
      expect(link.openSockets).toBe(0)
      // The last answers of the router are still on their way.
      await clock.advance(12 * second)
      expect(gateway.mappings).toEqual([])
      expect(gateway.violations).toEqual([])
      expect(clock.pending).toBe(0)
    }
  )
})
