import type { Rule } from '../rule.js'
import { abilityRules } from './ability.js'
import { abortRules } from './abort.js'
import { discoveryRules } from './discovery.js'
import { discoveryEndRules } from './discovery-end.js'
import { forwardRules } from './forward.js'
import { leaseRules } from './lease.js'
import { mapRules } from './map.js'
import { neighbourRules } from './neighbours.js'
import { releaseRules } from './release.js'
import { renewRules } from './renew.js'
import { slowRules } from './slow.js'
import { verbRules } from './verbs.js'

/** All testable rules of the contract, in the order of the life of a strategy. */
export const rules: readonly Rule[] = [
  ...discoveryRules,
  ...discoveryEndRules,
  ...abilityRules,
  ...mapRules,
  ...neighbourRules,
  ...abortRules,
  ...slowRules,
  ...leaseRules,
  ...renewRules,
  ...releaseRules,
  ...verbRules,
  ...forwardRules
]
