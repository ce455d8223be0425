import type { Need } from './needs.js'
import type { Stage } from './stage.js'
import type { AbilityKind } from './subject.js'
import type { Target } from './target.js'

export type OpenStage = () => Promise<Stage>

interface RuleBase {
  /** The id, in lower case with hyphens. It never changes after its publication. */
  readonly id: string
  /** The required behaviour, as a sentence. */
  readonly name: string
  /** The features of the world that the test needs. */
  readonly needs?: readonly Need[]
}

/** A rule for every strategy, independent of its abilities. */
export interface DiscoveryRule extends RuleBase {
  readonly check: (open: OpenStage) => Promise<void>
}

/** A rule for each ability of these kinds. */
export interface AbilityRule extends RuleBase {
  readonly abilities: readonly AbilityKind[]
  /** Returns why the rule does not apply to this ability; undefined if it does. */
  readonly exempt?: (target: Target) => string | undefined
  readonly check: (open: OpenStage, target: Target) => Promise<void>
}

export type Rule = DiscoveryRule | AbilityRule

export const isAbilityRule = (rule: Rule): rule is AbilityRule => 'abilities' in rule
