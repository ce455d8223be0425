import type { Ability, Family } from '@postern/interface'
import type { AbilityKind } from './subject.js'

/** One ability that the strategy has found. Each test finds it again in its own world. */
export interface Target {
  /** The key of the ability, which is the same in every world. */
  readonly key: string
  readonly kind: AbilityKind
  /** Whether the strategy finds no other ability, so that any one of this kind is meant: a party may have another address
   * and so another id in each world. */
  readonly isOnly?: boolean
  /** The family of a mapper. */
  readonly family?: Family
  /** The gateway address of a mapper; `none` if it is null. */
  readonly gateway?: string
  /** The protocols that a mapper or forwarder declares; both protocols for other abilities. */
  readonly protocols: readonly string[]
  /** Whether a mapper has `undo`. */
  readonly undoes?: boolean
  /** The name of the ability in messages. */
  readonly label: string
}

/** Returns the target of an ability. */
export function targetOf(ability: Ability): Target {
  const { kind } = ability
  if (kind === 'mapper') {
    const { family, gateway, protocols } = ability
    const where = gateway?.address ?? 'none'
    const label = `IPv${family} mapper of ${gateway?.address ?? 'no gateway'}`
    const undoes = ability.undo !== undefined
    return { key: `mapper ${family} ${where}`, kind, family, gateway: where, protocols, undoes, label }
  }
  const party = kind === 'puncher' ? kind : `${kind} ${ability.party.id}`
  const protocols = kind === 'forwarder' ? ability.protocols : ['tcp', 'udp']
  return { key: party, kind, protocols, label: party }
}

/** Returns the target of an ability that was never found, so that its tests fail with a clear message. */
export const missingTarget = (kind: AbilityKind): Target => ({ key: kind, kind, protocols: [], label: kind })
