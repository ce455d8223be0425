import { equal, notEqual, ok } from 'node:assert/strict'
import { canonicalAddress, isMultiaddrText, isWildcard, parseMultiaddr } from '@postern/interface'
import { addressesOf, call, granted, mapped, mapperOf, mappingsOf, requestFor } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const
/** The tolerance for lifetimes: the answer takes some time, and protocols use whole seconds. */
const slackMs = 2000

/** Rules for the contents of a lease: the granted values, not the requested ones. */
export const leaseRules: readonly AbilityRule[] = [
  {
    id: 'lease-has-addresses',
    name: 'a lease has at least one address: multiaddr text of the requested family and protocol',
    abilities: ['mapper', 'relay', 'forwarder'],
    async check(open, target) {
      const { lease, request } = await granted(await open(), target)
      ok(lease.addresses.length > 0, 'the lease has no address')
      for (const address of lease.addresses) {
        ok(isMultiaddrText(address), `not multiaddr text: ${address}`)
        if (request === undefined) continue
        const { family, protocol } = request.endpoint
        const parsed = parseMultiaddr(address)
        ok(parsed !== undefined, `not an address with a port: ${address}`)
        equal(parsed.family, family, `the family of ${address}`)
        equal(parsed.protocol, protocol, `the protocol of ${address}`)
      }
    }
  },
  {
    id: 'lease-has-the-granted-port',
    name: 'the port of a lease is the granted port',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      // Makes the gateway grant another port than the suggested one, if possible.
      if (mapper.family === 4)
        await stage.world.faults?.occupy?.(request.endpoint.protocol, request.suggestedExternalPort)
      const outcome = await stage.outcome(mapper.map(request, call()))
      if (outcome.state !== 'fulfilled') return
      const outside = mappingsOf(stage, request).map(({ externalPort }) => externalPort)
      for (const { port } of addressesOf(outcome.value))
        ok(
          outside.length === 0 || outside.includes(port),
          `the lease has port ${port}, but ${outside.join()} was granted`
        )
    }
  },
  {
    id: 'lease-has-the-external-address',
    name: 'the address of a lease is the external address, or a wildcard with a caveat',
    abilities,
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await mapped(stage, target)
      const outside = mappingsOf(stage, request).map(({ externalAddress }) => canonicalAddress(externalAddress))
      const isUnknown = lease.caveat?.code === 'EXTERNAL_ADDRESS_UNKNOWN'
      for (const { address, port } of addressesOf(lease)) {
        if (isUnknown && isWildcard(address) && port !== 0) continue
        ok(!isWildcard(address) && port !== 0, `not one address and port: ${address} port ${port}`)
        const isOutside = outside.length === 0 || outside.includes(canonicalAddress(address))
        ok(isOutside, `the lease has address ${address}, but ${outside.join()} was granted`)
      }
    }
  },
  {
    id: 'lease-has-the-granted-lifetime',
    name: 'the lifetime of a lease is not longer than the granted lifetime',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      // The protocols of pinholes do not report a shortened lifetime.
      if (target.family === 4) await stage.world.faults?.shorten?.()
      // Longer than most routers grant.
      const { lease, request } = await mapped(stage, target, { lifetimeMs: 86_400_000 })
      for (const { expiresAt } of mappingsOf(stage, request)) {
        const leftMs = expiresAt - stage.host.clock.monotonicMs()
        ok(lease.lifetimeMs <= leftMs + slackMs, `the lease has ${lease.lifetimeMs} ms, but ${leftMs} ms are left`)
      }
    }
  },
  {
    id: 'lease-lifetime-is-in-ms',
    name: 'the lifetime of a lease is in milliseconds',
    abilities: ['mapper', 'relay', 'forwarder'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await granted(stage, target, { lifetimeMs: 1_800_000 })
      ok(lease.lifetimeMs > 0, `not a lifetime: ${lease.lifetimeMs}`)
      if (request === undefined) return
      for (const { expiresAt } of mappingsOf(stage, request)) {
        const leftMs = Math.min(expiresAt - stage.host.clock.monotonicMs(), 1_800_000)
        ok(lease.lifetimeMs >= leftMs / 2, `the lease has ${lease.lifetimeMs} ms, but ${leftMs} ms are left`)
      }
    }
  },
  {
    id: 'lease-does-not-renew-itself',
    name: 'a lease does not renew itself',
    abilities,
    needs: ['changes', 'virtualClock'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await mapped(stage, target)
      const before = stage.world.changes?.()
      await stage.pass(Math.min(lease.lifetimeMs, 86_400_000))
      equal(stage.world.changes?.(), before, 'requests were sent for a lease that was not renewed')
      notEqual(lease.lifetimeMs, 0, 'the lifetime of the lease')
    }
  }
]
