import { deepEqual, equal, fail, notEqual, ok } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { isNatError, isPrintable, type ListedMapping, type Protocol } from '@postern/interface'
import { call, leaseFrom, mapped, mapperOf, mappingsOf, requestFor, testKey, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'
import type { Outcome } from '../stage.js'
import type { Target } from '../target.js'
import { watchTimers } from '../watch-timers.js'

const abilities = ['mapper'] as const
const both: readonly Protocol[] = ['tcp', 'udp']

/** The reason to exempt mappings of an open connection, such as `ssh -R`. */
const connected = ({ gateway }: Target): string | undefined =>
  gateway === 'none' ? 'a mapper without a gateway may map through an open connection' : undefined

/** Rules for `map`. */
export const mapRules: readonly AbilityRule[] = [
  {
    id: 'map-grants-declared-protocols',
    name: 'map grants every protocol that the mapper declares',
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      for (const protocol of mapper.protocols) {
        const outcome = await stage.outcome(mapper.map(requestFor(stage, mapper, { protocol }), call()))
        if (outcome.state === 'rejected') fail(`${protocol} is declared but refused: ${told(outcome.reason)}`)
        equal(outcome.state, 'fulfilled', `${protocol} is declared but not granted within 10 s`)
      }
    }
  },
  {
    id: 'map-refuses-other-protocols',
    name: 'map refuses a protocol that the mapper does not declare',
    abilities,
    exempt: ({ protocols }) =>
      both.every((each) => protocols.includes(each)) ? 'it declares both protocols' : undefined,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      for (const protocol of both.filter((each) => !mapper.protocols.includes(each))) {
        const outcome = await stage.outcome(mapper.map(requestFor(stage, mapper, { protocol }), call()))
        refused(outcome, protocol)
      }
    }
  },
  {
    id: 'map-refuses-other-families',
    name: 'map refuses an endpoint of the other family without a request',
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      const other =
        mapper.family === 4
          ? { ...request.endpoint, family: 6 as const, address: '2a0a:6::10' }
          : { ...request.endpoint, family: 4 as const, address: '192.168.1.10' }
      const before = stage.world.changes?.()
      const outcome = await stage.outcome(mapper.map({ ...request, endpoint: other }, call()))
      refused(outcome, `an IPv${other.family} endpoint`)
      equal(stage.world.changes?.(), before, 'the number of requests after an endpoint of the other family')
    }
  },
  {
    id: 'list-changes-nothing',
    name: 'list, if a mapper has it, requests no change, and tells printable entries with valid ports',
    abilities,
    needs: ['changes'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      if (mapper.list === undefined) return
      const before = stage.world.changes?.()
      const entries: ListedMapping[] = []
      const { endpoint, suggestedExternalPort: externalPort } = requestFor(stage, mapper)
      const ports = [{ protocol: endpoint.protocol, externalPort }]
      await stage.outcome(mapper.list(ports, (each) => entries.push(each), call()))
      equal(stage.world.changes?.(), before, 'requests for changes during list')
      for (const { externalPort: outer, internalPort, internalAddress, description } of entries) {
        for (const port of [outer, internalPort])
          ok(Number.isInteger(port) && port > 0 && port < 65_536, `not a port: ${port}`)
        for (const text of [internalAddress, description ?? ''])
          ok(
            text.length <= 64 && isPrintable(text),
            `not a printable text of 64 units at most: ${JSON.stringify(text)}`
          )
      }
    }
  },
  {
    id: 'map-makes-a-rule',
    name: 'map creates exactly one mapping',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const { request } = await mapped(stage, target)
      equal(mappingsOf(stage, request).length, 1, 'the number of mappings outside for one lease')
    }
  },
  {
    id: 'map-takes-its-mapping-back',
    name: 'map in the next run of the program takes over the mapping with the same key',
    abilities,
    needs: ['mappings'],
    exempt: connected,
    async check(open, target) {
      const stage = await open()
      const { request } = await mapped(stage, target)
      const [before] = mappingsOf(stage, request)
      // Another process has only the stored data of the first one.
      const mapper = await mapperOf(stage, target)
      const suggestedExternalPort = before?.externalPort ?? request.suggestedExternalPort
      await leaseFrom(stage, mapper.map(requestFor(stage, mapper, { suggestedExternalPort }), call()))
      const after = mappingsOf(stage, request).map(({ externalPort }) => externalPort)
      deepEqual(after, [suggestedExternalPort], 'the external ports of one endpoint after a second run')
    }
  },
  {
    id: 'map-leaves-the-request-alone',
    name: 'map does not change the request',
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      await stage.outcome(mapper.map(request, call()))
      deepEqual(request, requestFor(stage, mapper), 'the request was changed')
    }
  },
  {
    id: 'map-logs-no-key',
    name: 'map does not log the key, which alone protects the mapping',
    abilities,
    async check(open, target) {
      const stage = await open()
      await mapped(stage, target)
      const text = stage.lines.join('\n').toLowerCase()
      const key = Buffer.from(testKey.subarray(0, 12))
      for (const form of [key.toString('hex'), key.toString('base64').toLowerCase(), [...key].join()])
        ok(!text.includes(form), 'the key is in the log')
    }
  },
  {
    id: 'map-leaves-no-listener',
    name: 'map leaves no listener on the signal',
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const { signal } = call()
      await stage.outcome(mapper.map(requestFor(stage, mapper), { signal }))
      equal(getEventListeners(signal, 'abort').length, 0, 'listeners are left on the signal')
    }
  },
  {
    id: 'map-holds-no-socket',
    name: 'map leaves no socket open',
    abilities,
    needs: ['openHandles', 'mappings'],
    exempt: connected,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const before = stage.world.openHandles?.()
      await stage.outcome(mapper.map(requestFor(stage, mapper), call()))
      await stage.pass(1000)
      equal(stage.world.openHandles?.(), before, 'the number of sockets before and after map')
    }
  },
  {
    id: 'map-rejects-with-nat-error',
    name: 'map rejects with a code of the registry for a failure of the network',
    abilities,
    needs: ['refuse'],
    async check(open, target) {
      for (const fault of ['refuse', 'silence'] as const) {
        const stage = await open()
        const mapper = await mapperOf(stage, target)
        await stage.world.faults?.[fault]?.()
        const outcome = await stage.outcome(mapper.map(requestFor(stage, mapper), call()), 300_000)
        if (outcome.state === 'rejected')
          ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
      }
    }
  },
  {
    id: 'uses-the-clock-of-the-host',
    name: 'map uses the clock of the host and never setTimeout or setInterval',
    abilities,
    needs: ['virtualClock'],
    async check(open, target) {
      const stage = await open()
      const timers = watchTimers()
      try {
        const { lease } = await mapped(stage, target)
        await stage.outcome(lease.renew(call()))
        await stage.outcome(lease.release(call()))
      } finally {
        timers.restore()
      }
      equal(timers.count(), 0, 'the number of timers outside the clock of the host')
    }
  },
  {
    id: 'map-keeps-the-protocol',
    name: 'map, renew and release do not violate the protocol',
    abilities,
    needs: ['violations'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      for (const protocol of mapper.protocols) {
        const outcome = await stage.outcome(mapper.map(requestFor(stage, mapper, { protocol }), call()))
        if (outcome.state !== 'fulfilled') continue
        await stage.pass(stage.isVirtual ? 1_800_000 : 50)
        const renewed = await stage.outcome(outcome.value.renew(call()))
        await stage.pass(stage.isVirtual ? 60_000 : 50)
        const last = renewed.state === 'fulfilled' ? renewed.value : outcome.value
        await stage.outcome(last.release(call()))
      }
      deepEqual(stage.world.violations?.(), [], 'the observed violations of the protocol')
    }
  }
]

function refused(outcome: Outcome<unknown>, what: string): void {
  notEqual(outcome.state, 'fulfilled', `${what} is not declared but granted`)
  if (outcome.state !== 'rejected') return fail(`${what} is not declared but not refused within 10 s`)
  const { reason } = outcome
  ok(isNatError(reason) || reason instanceof TypeError, `neither a NatError nor a TypeError: ${told(reason)}`)
}
