import type { Ability, Family } from '@postern/interface'
import type { AbilityKind } from './subject.js'

/** One ability that the strategy was seen to find. Each test finds it anew, in a world of its own. */
export interface Target {
  /** The same for what replaces each other. */
  readonly key: string
  readonly kind: AbilityKind
  /** Of a mapper. */
  readonly family?: Family
  /** Of a mapper: null in the contract is `none`. */
  readonly gateway?: string
  /** What it declares, in a mapper; both protocols in others, where there is nothing to declare. */
  readonly protocols: readonly string[]
  /** Of a mapper: whether it undoes by itself what a failed `map` may have left. */
  readonly undoes?: boolean
  /** Its name in messages. */
  readonly label: string
}

export function targetOf(ability: Ability): Target {
  const { kind } = ability
  if (kind === 'mapper') {
    const { family, gateway, protocols } = ability
    const where = gateway?.address ?? 'none'
    const label = `IPv${family} mapper of ${gateway?.address ?? 'no gateway'}`
    const undoes = ability.undo !== undefined
    return { key: `mapper ${family} ${where}`, kind, family, gateway: where, protocols, undoes, label }
  }
  const who = kind === 'puncher' ? kind : `${kind} ${ability.party.id}`
  return { key: who, kind, protocols: ['tcp', 'udp'], label: who }
}

/** What stands for abilities that were never found, so that the tests fail with words. */
export const missingTarget = (kind: AbilityKind): Target => ({ key: kind, kind, protocols: [], label: kind })
