import { equal, fail, notEqual, ok } from 'node:assert/strict'
import { type Ability, type CallOptions, isMultiaddrText, isNatError, parseMultiaddr } from '@postern/interface'
import { call, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'
import type { Stage } from '../stage.js'

/** Calls the one verb of an ability that is no mapper; undefined where the world lacks what it is called with. */
function verbOf(stage: Stage, ability: Ability): ((options: CallOptions) => Promise<unknown>) | undefined {
  const { address, tap, peerId } = stage.world
  if (ability.kind === 'relay') return (options) => ability.reserve(options)
  if (ability.kind === 'witness' && address !== undefined) return (options) => ability.verify(address, options)
  if (ability.kind === 'observer' && tap !== undefined) return (options) => ability.observe(tap, options)
  if (ability.kind === 'puncher' && peerId !== undefined) return (options) => ability.upgrade(peerId, options)
  return undefined
}

const abilities = ['relay', 'witness', 'observer', 'puncher'] as const
const behaviours: ReadonlySet<string> = new Set([
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent'
])
const outcomes: ReadonlySet<string> = new Set(['reachable', 'unreachable', 'inconclusive'])

/** What the verbs of relays, witnesses, observers and punchers do. Leases of relays are tested with those of mappers. */
export const verbRules: readonly AbilityRule[] = [
  {
    id: 'verb-aborted-before-rejects',
    name: 'a verb whose signal has aborted already rejects with its reason and sends nothing',
    abilities,
    async check(open, target) {
      const stage = await open()
      const verb = verbOf(stage, await stage.ability(target))
      if (verb === undefined) return
      const before = stage.world.changes?.() ?? stage.world.requests?.()
      const reason = new Error('before it began')
      const outcome = await stage.outcome(verb({ signal: AbortSignal.abort(reason) }))
      equal(outcome.state, 'rejected', 'a verb that was aborted before the call')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
      equal(stage.world.changes?.() ?? stage.world.requests?.(), before, 'requests were sent although it was aborted')
    }
  },
  {
    id: 'verb-abort-rejects',
    name: 'an aborted verb rejects with the reason of the signal within 500 ms',
    abilities,
    needs: ['silence'],
    async check(open, target) {
      const stage = await open()
      const verb = verbOf(stage, await stage.ability(target))
      if (verb === undefined) return
      await stage.world.faults?.silence?.()
      const controller = new AbortController()
      const pending = verb({ signal: controller.signal })
      pending.catch(() => undefined)
      await stage.pass(100)
      const reason = new Error('the test has had enough')
      controller.abort(reason)
      const outcome = await stage.outcome(pending, 500)
      notEqual(outcome.state, 'pending', 'not settled 500 ms after it was aborted')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'verb-rejects-with-nat-error',
    name: 'what the network does to a verb is told with a code of the registry',
    abilities,
    needs: ['refuse'],
    async check(open, target) {
      const stage = await open()
      const verb = verbOf(stage, await stage.ability(target))
      if (verb === undefined) return
      await stage.world.faults?.refuse?.()
      const outcome = await stage.outcome(verb(call()), 300_000)
      if (outcome.state === 'rejected')
        ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'verify-gives-evidence',
    name: 'a witness says reachable, unreachable or inconclusive, and why with a code of the registry',
    abilities: ['witness'],
    needs: ['address'],
    async check(open, target) {
      const stage = await open()
      const ability = await stage.ability(target)
      const { address } = stage.world
      if (ability.kind !== 'witness' || address === undefined) return
      const outcome = await stage.outcome(ability.verify(address, call()), 60_000)
      if (outcome.state !== 'fulfilled') return
      const { outcome: said, reason } = outcome.value
      ok(outcomes.has(said), `not an outcome: ${said}`)
      if (reason !== undefined) ok(isNatError(reason), `not a NatError of the registry: ${told(reason)}`)
    }
  },
  {
    id: 'observe-gives-an-observation',
    name: 'an observer tells an address with a port, of the family and protocol of the socket, and behaviours in words of RFC 4787',
    abilities: ['observer'],
    needs: ['tap'],
    async check(open, target) {
      const stage = await open()
      const ability = await stage.ability(target)
      const { tap } = stage.world
      if (ability.kind !== 'observer' || tap === undefined) return
      const outcome = await stage.outcome(ability.observe(tap, call()), 60_000)
      if (outcome.state !== 'fulfilled') return
      const parsed = parseMultiaddr(outcome.value.address) ?? fail(`not an address: ${outcome.value.address}`)
      equal(parsed.family, tap.endpoint.family, `the family of ${outcome.value.address}`)
      equal(parsed.protocol, 'udp', `the protocol of ${outcome.value.address}`)
      const { mapping, filtering, hairpin } = outcome.value
      for (const said of [mapping, filtering])
        if (said !== undefined) ok(behaviours.has(said), `not a behaviour of RFC 4787: ${said}`)
      if (hairpin !== undefined) ok(hairpin === 'works' || hairpin === 'fails', `not what a hairpin does: ${hairpin}`)
    }
  },
  {
    id: 'upgrade-gives-an-address',
    name: 'a puncher tells the address of the direct connection',
    abilities: ['puncher'],
    needs: ['peerId'],
    async check(open, target) {
      const stage = await open()
      const ability = await stage.ability(target)
      const { peerId } = stage.world
      if (ability.kind !== 'puncher' || peerId === undefined) return
      const outcome = await stage.outcome(ability.upgrade(peerId, call()), 60_000)
      if (outcome.state === 'fulfilled') ok(isMultiaddrText(outcome.value), `not a multiaddr: ${outcome.value}`)
    }
  }
]
