import { equal, notEqual, ok } from 'node:assert/strict'
import { canonicalAddress, isMultiaddrText, isWildcard, parseMultiaddr } from '@postern/interface'
import { addressesOf, call, granted, mapped, mapperOf, mappingsOf, requestFor } from '../asking.js'
import type { AbilityRule } from '../rule.js'

const abilities = ['mapper'] as const
/** The answer was under way for some of it, and protocols count in whole seconds. */
const slackMs = 2000

/** What a lease says: what was granted, not what was asked for. */
export const leaseRules: readonly AbilityRule[] = [
  {
    id: 'lease-has-addresses',
    name: 'a lease has at least one address: multiaddr text of the family and protocol that were asked for',
    abilities: ['mapper', 'relay'],
    async check(open, target) {
      const { lease, request } = await granted(await open(), target)
      ok(lease.addresses.length > 0, 'the lease has no address')
      for (const address of lease.addresses) {
        ok(isMultiaddrText(address), `not the text of a multiaddr: ${address}`)
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
    name: 'the port of a lease is the one that was granted',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      // Another port than the suggested one, where that can be had.
      if (mapper.family === 4)
        await stage.world.faults?.occupy?.(request.endpoint.protocol, request.suggestedExternalPort)
      const outcome = await stage.outcome(mapper.map(request, call()))
      if (outcome.state !== 'fulfilled') return
      const outside = mappingsOf(stage, request).map(({ externalPort }) => externalPort)
      for (const { port } of addressesOf(outcome.value))
        ok(outside.length === 0 || outside.includes(port), `says ${port}, and ${outside.join()} was granted`)
    }
  },
  {
    id: 'lease-has-the-external-address',
    name: 'the address of a lease is the one outside, and a wildcard only with a caveat that it is not known',
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
        ok(isOutside, `says ${address}, and ${outside.join()} was granted`)
      }
    }
  },
  {
    id: 'lease-has-the-granted-lifetime',
    name: 'the lifetime of a lease is no longer than the one that was granted',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      // Nobody can tell that a pinhole was shortened: its protocols do not say.
      if (target.family === 4) await stage.world.faults?.shorten?.()
      // Longer than routers like.
      const { lease, request } = await mapped(stage, target, { lifetimeMs: 86_400_000 })
      for (const { expiresAt } of mappingsOf(stage, request)) {
        const leftMs = expiresAt - stage.host.clock.monotonicMs()
        ok(lease.lifetimeMs <= leftMs + slackMs, `says ${lease.lifetimeMs} ms, and ${leftMs} ms are left`)
      }
    }
  },
  {
    id: 'lease-lifetime-is-in-ms',
    name: 'the lifetime of a lease is in milliseconds',
    abilities: ['mapper', 'relay'],
    async check(open, target) {
      const stage = await open()
      const { lease, request } = await granted(stage, target, { lifetimeMs: 1_800_000 })
      ok(lease.lifetimeMs > 0, `not a lifetime: ${lease.lifetimeMs}`)
      if (request === undefined) return
      for (const { expiresAt } of mappingsOf(stage, request)) {
        const leftMs = Math.min(expiresAt - stage.host.clock.monotonicMs(), 1_800_000)
        ok(lease.lifetimeMs >= leftMs / 2, `says ${lease.lifetimeMs} ms, and ${leftMs} ms are left`)
      }
    }
  },
  {
    id: 'lease-does-not-renew-itself',
    name: 'a lease is never renewed but by its owner',
    abilities,
    needs: ['changes', 'virtualClock'],
    async check(open, target) {
      const stage = await open()
      const { lease } = await mapped(stage, target)
      const before = stage.world.changes?.()
      await stage.pass(Math.min(lease.lifetimeMs, 86_400_000))
      equal(stage.world.changes?.(), before, 'requests were sent for a lease that was not renewed')
      notEqual(lease.lifetimeMs, 0, 'a lease without a lifetime')
    }
  }
]
