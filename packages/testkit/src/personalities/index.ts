import { descriptions } from './descriptions.js'
import { ipv6 } from './ipv6.js'
import { leases } from './leases.js'
import { lists } from './lists.js'
import type { Personality } from './personality.js'
import { portControl } from './port-control.js'
import { refusals } from './refusals.js'
import { restarts } from './restarts.js'
import { slow } from './slow.js'
import { wan } from './wan.js'

/** The routers from public reports, grouped by oddity. */
export const personalityGroups: Readonly<Record<string, readonly Personality[]>> = {
  slow,
  leases,
  refusals,
  lists,
  descriptions,
  wan,
  'port-control': portControl,
  restarts,
  ipv6
}

/** Every router of {@link personalityGroups}. */
export const personalities: readonly Personality[] = Object.values(personalityGroups).flat()
