import { getEventListeners } from 'node:events'
import { deepEqual, equal, fail, notEqual, ok } from 'node:assert/strict'
import { isNatError, type Protocol } from '@postern/interface'
import { call, leaseFrom, mapped, mapperOf, mappingsOf, requestFor, testKey, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'
import type { Outcome } from '../stage.js'
import type { Target } from '../target.js'
import { watchTimers } from '../watch-timers.js'

const abilities = ['mapper'] as const
const both: readonly Protocol[] = ['tcp', 'udp']

/** `ssh -R` maps for as long as it is connected. */
const connected = ({ gateway }: Target): string | undefined =>
  gateway === 'none' ? 'without a gateway it may be an open connection that maps' : undefined

/** What `map` does. */
export const mapRules: readonly AbilityRule[] = [
  {
    id: 'map-grants-declared-protocols',
    name: 'every protocol that a mapper declares is granted',
    abilities,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      for (const protocol of mapper.protocols) {
        const outcome = await stage.outcome(mapper.map(requestFor(stage, mapper, { protocol }), call()))
        if (outcome.state === 'rejected') fail(`${protocol} is declared and refused: ${told(outcome.reason)}`)
        equal(outcome.state, 'fulfilled', `${protocol} is declared and not granted within 10 s`)
      }
    }
  },
  {
    id: 'map-refuses-other-protocols',
    name: 'a protocol that a mapper does not declare is refused',
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
    name: 'an endpoint of the other family is refused before anything is asked',
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
      equal(stage.world.changes?.(), before, 'the requests that were sent for an endpoint of the other family')
    }
  },
  {
    id: 'map-makes-a-rule',
    name: 'what is granted is mapped outside, once',
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
    name: 'the next run of the program gets its mapping back with the same key, and no second one beside it',
    abilities,
    needs: ['mappings'],
    exempt: connected,
    async check(open, target) {
      const stage = await open()
      const { request } = await mapped(stage, target)
      const [before] = mappingsOf(stage, request)
      // Another process: nothing is left of the first but what was stored.
      const mapper = await mapperOf(stage, target)
      const suggestedExternalPort = before?.externalPort ?? request.suggestedExternalPort
      await leaseFrom(stage, mapper.map(requestFor(stage, mapper, { suggestedExternalPort }), call()))
      const after = mappingsOf(stage, request).map(({ externalPort }) => externalPort)
      deepEqual(after, [suggestedExternalPort], 'the external ports of one endpoint after a second run')
    }
  },
  {
    id: 'map-leaves-the-request-alone',
    name: 'the request is not changed',
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
    name: 'the key, which is all that protects the mapping, is not logged',
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
    name: 'no listener stays on the signal of a call that is over',
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
    name: 'no socket stays open for a mapping',
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
    name: 'what the network does to a request is told with a code of the registry',
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
    name: 'time is kept by the clock of the host and never by setTimeout or setInterval',
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
      equal(timers.count(), 0, 'timers were set beside the clock of the host')
    }
  },
  {
    id: 'map-keeps-the-protocol',
    name: 'mapping, renewing and releasing do nothing that the protocol forbids',
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
      deepEqual(stage.world.violations?.(), [], 'what the outside saw that the protocol forbids')
    }
  }
]

function refused(outcome: Outcome<unknown>, what: string): void {
  notEqual(outcome.state, 'fulfilled', `${what} is not declared and yet granted`)
  if (outcome.state !== 'rejected') return fail(`${what} is not declared, and not refused within 10 s`)
  const { reason } = outcome
  ok(isNatError(reason) || reason instanceof TypeError, `neither a NatError nor a TypeError: ${told(reason)}`)
}
