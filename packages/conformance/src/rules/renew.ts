import { deepEqual, equal, fail, notEqual, ok } from 'node:assert/strict'
import { canonicalAddress, isNatError } from '@postern/interface'
import { addressesOf, call, granted, mapped, mapperOf, mappingsOf, requestFor, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const

/** Rules for `renew`. */
export const renewRules: readonly AbilityRule[] = [
  {
    id: 'renew-keeps-the-key',
    name: 'renew succeeds, with the key of the first request',
    abilities: ['mapper', 'relay', 'forwarder'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.pass(stage.isVirtual ? 600_000 : 0)
      const outcome = await stage.outcome(lease.renew(call()))
      if (outcome.state === 'rejected') fail(`cannot be renewed: ${told(outcome.reason)}`)
      equal(outcome.state, 'fulfilled', 'not renewed within 10 s')
    }
  },
  {
    id: 'renew-extends-the-mapping',
    name: 'renew extends the mapping',
    abilities,
    needs: ['mappings', 'virtualClock'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      const [before] = mappingsOf(stage, request)
      await stage.pass(600_000)
      const outcome = await stage.outcome(lease.renew(call()))
      const [after] = mappingsOf(stage, request)
      if (outcome.state !== 'fulfilled' || before === undefined || after === undefined) return
      const isLonger = after.expiresAt > before.expiresAt || after.expiresAt === Number.POSITIVE_INFINITY
      ok(isLonger, 'the mapping was renewed after 10 minutes but not extended')
    }
  },
  {
    id: 'renew-keeps-one-mapping',
    name: 'renew creates no second mapping',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      // A strategy that maps nothing at all fails another test.
      if (mappingsOf(stage, request).length === 0) return
      const before = stage.world.mappings?.().length ?? 0
      await stage.pass(stage.isVirtual ? 60_000 : 0)
      await stage.outcome(lease.renew(call()))
      const after = stage.world.mappings?.().length ?? 0
      ok(after <= before, `${before} mappings before the renewal and ${after} after it`)
    }
  },
  {
    id: 'renew-suggests-the-granted-port',
    name: 'renew after a reboot requests the granted port, not the port that was first suggested',
    abilities,
    needs: ['mappings', 'occupy', 'reboot'],
    exempt: ({ family }) => (family === 6 ? 'an IPv6 pinhole has no external port of its own' : undefined),
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      await stage.world.faults?.occupy?.(request.endpoint.protocol, request.suggestedExternalPort)
      const outcome = await stage.outcome(mapper.map(request, call()))
      const [before] = mappingsOf(stage, request)
      if (outcome.state !== 'fulfilled' || before === undefined) return
      await stage.world.faults?.reboot?.()
      await stage.outcome(outcome.value.renew(call()))
      for (const { externalPort } of mappingsOf(stage, request))
        equal(externalPort, before.externalPort, 'the external port after a reboot')
    }
  },
  {
    id: 'renew-leaves-the-old-lease-alone',
    name: 'renew resolves with another lease and leaves the old one unchanged',
    abilities: ['mapper', 'relay', 'forwarder'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      const before = { addresses: [...lease.addresses], lifetimeMs: lease.lifetimeMs }
      if (target.family === 4) await stage.world.faults?.move?.()
      const outcome = await stage.outcome(lease.renew(call()))
      const after = { addresses: [...lease.addresses], lifetimeMs: lease.lifetimeMs }
      deepEqual(after, before, 'the old lease after it was renewed')
      // A lease that never lapses needs no successor.
      if (outcome.state === 'fulfilled' && lease.lifetimeMs !== Number.POSITIVE_INFINITY)
        notEqual(outcome.value, lease, 'renew resolved with the same lease')
    }
  },
  {
    id: 'renew-says-what-was-granted',
    name: 'a renewed lease has the current external address',
    abilities,
    needs: ['mappings', 'move'],
    exempt: ({ family }) => (family === 6 ? 'the external address of a pinhole is our own' : undefined),
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      const outside = (): readonly unknown[] =>
        mappingsOf(stage, request).map(({ externalAddress }) => canonicalAddress(externalAddress))
      const isRight = ({ address }: { address: string }): boolean => outside().includes(canonicalAddress(address))
      // A lease with a wrong address from the start fails another test.
      if (!addressesOf(lease).some(isRight)) return
      await stage.world.faults?.move?.()
      await stage.pass(stage.isVirtual ? 60_000 : 0)
      const outcome = await stage.outcome(lease.renew(call()))
      if (outcome.state !== 'fulfilled') return
      for (const each of addressesOf(outcome.value))
        ok(isRight(each), `the lease has ${each.address}, but the gateway has ${outside().join()}`)
    }
  },
  {
    id: 'renew-rejects-with-nat-error',
    name: 'renew rejects with a code of the registry for a failure of the network',
    abilities: ['mapper', 'relay', 'forwarder'],
    needs: ['refuse'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.world.faults?.refuse?.()
      const outcome = await stage.outcome(lease.renew(call()), 300_000)
      if (outcome.state === 'rejected')
        ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'abort-rejects-renew',
    name: "an aborted renewal rejects with the signal's reason within 500 ms",
    abilities: ['mapper', 'relay', 'forwarder'],
    needs: ['silence'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.world.faults?.silence?.()
      const controller = new AbortController()
      const pending = lease.renew({ signal: controller.signal })
      // A renewal without a request is done before it can be aborted.
      if ((await stage.outcome(pending, 100)).state === 'fulfilled') return
      const reason = new Error('the test has had enough')
      controller.abort(reason)
      const outcome = await stage.outcome(pending, 500)
      equal(outcome.state, 'rejected', 'the state of the renewal 500 ms after its abort')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
    }
  }
]
