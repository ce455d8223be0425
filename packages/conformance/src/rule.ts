import type { Need } from './needs.js'
import type { Stage } from './stage.js'
import type { AbilityKind } from './subject.js'
import type { Target } from './target.js'

export type OpenStage = () => Promise<Stage>

interface RuleBase {
  /** Lower case with hyphens. Never changes once published. */
  readonly id: string
  /** A sentence about behaviour. */
  readonly name: string
  /** What the world must let the test see or do. */
  readonly needs?: readonly Need[]
}

/** A rule for every strategy, whatever it finds. */
export interface DiscoveryRule extends RuleBase {
  readonly check: (open: OpenStage) => Promise<void>
}

/** A rule for each ability of these kinds. */
export interface AbilityRule extends RuleBase {
  readonly abilities: readonly AbilityKind[]
  /** Why it does not concern this one. */
  readonly exempt?: (target: Target) => string | undefined
  readonly check: (open: OpenStage, target: Target) => Promise<void>
}

export type Rule = DiscoveryRule | AbilityRule

export const isAbilityRule = (rule: Rule): rule is AbilityRule => 'abilities' in rule
