import { deepEqual, equal, fail, notEqual, ok } from 'node:assert/strict'
import { canonicalAddress, isNatError } from '@postern/interface'
import { addressesOf, call, granted, mapped, mapperOf, mappingsOf, requestFor, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const

/** What `renew` does. */
export const renewRules: readonly AbilityRule[] = [
  {
    id: 'renew-keeps-the-key',
    name: 'a lease can be renewed: the key is the one of the first request',
    abilities: ['mapper', 'relay'],
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
    name: 'renewing makes what is mapped outside last longer',
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
      ok(isLonger, 'renewed after 10 minutes, and it ends when it would have ended')
    }
  },
  {
    id: 'renew-keeps-one-mapping',
    name: 'after renewing there is no mapping that was not there before',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      // Whoever maps nothing at all has failed another test.
      if (mappingsOf(stage, request).length === 0) return
      const before = stage.world.mappings?.().length ?? 0
      await stage.pass(stage.isVirtual ? 60_000 : 0)
      await stage.outcome(lease.renew(call()))
      const after = stage.world.mappings?.().length ?? 0
      ok(after <= before, `${before} mappings before renewing and ${after} after it`)
    }
  },
  {
    id: 'renew-suggests-the-granted-port',
    name: 'renewing after a reboot asks for the port that was granted, not for the one that was first suggested',
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
    name: 'renewing gives another lease and leaves the old one as it was',
    abilities: ['mapper', 'relay'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      const before = { addresses: [...lease.addresses], lifetimeMs: lease.lifetimeMs }
      if (target.family === 4) await stage.world.faults?.move?.()
      const outcome = await stage.outcome(lease.renew(call()))
      const after = { addresses: [...lease.addresses], lifetimeMs: lease.lifetimeMs }
      deepEqual(after, before, 'the old lease after it was renewed')
      // One that never lapses has no use for a successor.
      if (outcome.state === 'fulfilled' && lease.lifetimeMs !== Number.POSITIVE_INFINITY)
        notEqual(outcome.value, lease, 'renewing gives the same lease again')
    }
  },
  {
    id: 'renew-says-what-was-granted',
    name: 'a renewed lease has the address that the outside has now',
    abilities,
    needs: ['mappings', 'move'],
    exempt: ({ family }) => (family === 6 ? 'the external address of a pinhole is our own' : undefined),
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      const outside = (): readonly unknown[] =>
        mappingsOf(stage, request).map(({ externalAddress }) => canonicalAddress(externalAddress))
      const isRight = ({ address }: { address: string }): boolean => outside().includes(canonicalAddress(address))
      // Whoever is wrong from the start has failed another test.
      if (!addressesOf(lease).some(isRight)) return
      await stage.world.faults?.move?.()
      await stage.pass(stage.isVirtual ? 60_000 : 0)
      const outcome = await stage.outcome(lease.renew(call()))
      if (outcome.state !== 'fulfilled') return
      for (const each of addressesOf(outcome.value))
        ok(isRight(each), `says ${each.address}, and has ${outside().join()}`)
    }
  },
  {
    id: 'renew-rejects-with-nat-error',
    name: 'what the network does to a renewal is told with a code of the registry',
    abilities: ['mapper', 'relay'],
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
    name: 'an aborted renewal rejects with the reason of the signal within 500 ms',
    abilities: ['mapper', 'relay'],
    needs: ['silence'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await granted(stage, target)
      await stage.world.faults?.silence?.()
      const controller = new AbortController()
      const pending = lease.renew({ signal: controller.signal })
      // One that has nobody to ask is done before it could be aborted.
      if ((await stage.outcome(pending, 100)).state === 'fulfilled') return
      const reason = new Error('the test has had enough')
      controller.abort(reason)
      const outcome = await stage.outcome(pending, 500)
      equal(outcome.state, 'rejected', 'the renewal 500 ms after it was aborted')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
    }
  }
]
