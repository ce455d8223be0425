import { equal, fail, notEqual, ok } from 'node:assert/strict'
import { type Ability, type CallOptions, isMultiaddrText, isNatError, parseMultiaddr } from '@postern/interface'
import { call, forwardRequestFor, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'
import type { Stage } from '../stage.js'

/** Returns the verb of an ability other than a mapper; undefined if the world lacks its argument. */
function verbOf(stage: Stage, ability: Ability): ((options: CallOptions) => Promise<unknown>) | undefined {
  const { address, tap, peerId } = stage.world
  if (ability.kind === 'relay') return (options) => ability.reserve(options)
  if (ability.kind === 'forwarder') return (options) => ability.forward(forwardRequestFor(stage), options)
  if (ability.kind === 'witness' && address !== undefined) return (options) => ability.verify(address, options)
  if (ability.kind === 'observer' && tap !== undefined) return (options) => ability.observe(tap, options)
  if (ability.kind === 'puncher' && peerId !== undefined) return (options) => ability.upgrade(peerId, options)
  return undefined
}

const abilities = ['relay', 'forwarder', 'witness', 'observer', 'puncher'] as const
const behaviours: ReadonlySet<string> = new Set([
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent'
])
const outcomes: ReadonlySet<string> = new Set(['reachable', 'unreachable', 'inconclusive'])

/**
 * Rules for the verbs of relays, forwarders, witnesses, observers and punchers. Leases are tested with those of mappers.
 */
export const verbRules: readonly AbilityRule[] = [
  {
    id: 'verb-aborted-before-rejects',
    name: "a verb rejects with the signal's reason and sends nothing if the signal has already aborted",
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
      equal(
        stage.world.changes?.() ?? stage.world.requests?.(),
        before,
        'requests were sent although the signal had aborted'
      )
    }
  },
  {
    id: 'verb-abort-rejects',
    name: "an aborted verb rejects with the signal's reason within 500 ms",
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
      notEqual(outcome.state, 'pending', 'the verb has not settled 500 ms after its abort')
      if (outcome.state === 'rejected') equal(outcome.reason, reason, `another reason: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'verb-rejects-with-nat-error',
    name: 'a verb rejects with a code of the registry for a failure of the network',
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
    name: 'verify resolves with reachable, unreachable or inconclusive, and a reason with a code of the registry',
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
    name: 'observe resolves with an address of the family and protocol of the socket, and with RFC 4787 terms',
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
      if (hairpin !== undefined) ok(hairpin === 'works' || hairpin === 'fails', `not a hairpin result: ${hairpin}`)
    }
  },
  {
    id: 'upgrade-gives-an-address',
    name: 'upgrade resolves with the address of the direct connection',
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
