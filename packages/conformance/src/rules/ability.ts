import { deepEqual, equal, ok } from 'node:assert/strict'
import { type Ability, canonicalAddress, type Gateway } from '@postern/interface'
import type { AbilityRule } from '../rule.js'
import type { AbilityKind } from '../subject.js'

const verbs: Readonly<Record<AbilityKind, string>> = {
  mapper: 'map',
  relay: 'reserve',
  forwarder: 'forward',
  witness: 'verify',
  observer: 'observe',
  puncher: 'upgrade'
}

/** Rules for the properties of an ability. */
export const abilityRules: readonly AbilityRule[] = [
  {
    id: 'ability-has-one-verb',
    name: 'an ability has the verb of its kind and no other verb',
    abilities: ['mapper', 'relay', 'forwarder', 'witness', 'observer', 'puncher'],
    async check(open, target) {
      const ability: Ability = await (await open()).ability(target)
      const has = (verb: string): boolean => typeof Reflect.get(ability, verb) === 'function'
      const present = Object.values(verbs).filter(has)
      deepEqual(present, [verbs[ability.kind]], `a ${ability.kind} has ${present.join(' and ') || 'no verb'}`)
    }
  },
  {
    id: 'mapper-declares-family-and-protocols',
    name: 'a mapper declares family 4 or 6, and at least one protocol, each once',
    abilities: ['mapper'],
    async check(open, target) {
      const ability = await (await open()).ability(target)
      if (ability.kind !== 'mapper') return
      const { family, protocols } = ability
      ok(family === 4 || family === 6, `not an address family: ${String(family)}`)
      ok(protocols.length > 0, 'no protocol is declared')
      equal(new Set(protocols).size, protocols.length, `a protocol is declared twice: ${protocols.join()}`)
      for (const each of protocols) ok(each === 'tcp' || each === 'udp', `not a protocol: ${each}`)
    }
  },
  {
    id: 'mapper-gateway-is-of-the-network',
    name: 'the gateway of a mapper is a gateway of the network, the configured one, or null',
    abilities: ['mapper'],
    async check(open, target) {
      const stage = await open()
      const { gateway: named } = await stage.create()
      const ability = await stage.ability(target)
      if (ability.kind !== 'mapper' || ability.gateway === null) return
      const { gateway } = ability
      const isSame = (other: Gateway): boolean =>
        other.interface === gateway.interface &&
        canonicalAddress(other.address) === canonicalAddress(gateway.address) &&
        canonicalAddress(other.localAddress) === canonicalAddress(gateway.localAddress)
      const isNamed = named !== undefined && canonicalAddress(named) === canonicalAddress(gateway.address)
      ok(isNamed || stage.world.network.gateways.some(isSame), `${gateway.address} is not a gateway of this network`)
    }
  },
  {
    id: 'party-is-well-formed',
    name: 'a party has an id, and a network that is a /16 (IPv4) or a /32 (IPv6)',
    abilities: ['relay', 'forwarder', 'witness', 'observer'],
    async check(open, target) {
      const ability = await (await open()).ability(target)
      if (ability.kind === 'mapper' || ability.kind === 'puncher') return
      const { id, network, rttMs = 0 } = ability.party
      ok(id !== '', 'the id of the party is empty')
      const [address = '', bits] = network.split('/')
      const isPrefix = canonicalAddress(address) === address && bits === (address.includes(':') ? '32' : '16')
      ok(isPrefix, `not a /16 or /32 prefix: ${network}`)
      ok(Number.isFinite(rttMs) && rttMs >= 0, `not a round-trip time: ${rttMs}`)
    }
  }
]
