import { type Family, familyOf, type Observer } from '@postern/interface'
import type { Entry } from './roster.js'

/** One observer, and which strategy found it. */
export interface Found {
  readonly observer: Observer
  readonly entry: Entry
}

/** So many observers that can look at a socket of this family, from distinct networks before others: two neighbours see the
 * same. Without a family any will do. */
export function chooseObservers(
  entries: readonly Entry[],
  family: Family | undefined,
  count: number
): readonly Found[] {
  const able = entries
    .flatMap((entry) =>
      [...entry.abilities.values()].flatMap((each) => (each.kind === 'observer' ? [{ observer: each, entry }] : []))
    )
    .filter(({ observer }) => family === undefined || familyIn(observer) === family)
  const firsts = new Map(able.toReversed().map((each) => [each.observer.party.network, each]))
  const distinct = able.filter((each) => firsts.get(each.observer.party.network) === each)
  return [...distinct, ...able.filter((each) => !distinct.includes(each))].slice(0, count)
}

/** `21.0.0.0/16` is IPv4. */
const familyIn = ({ party }: Observer): Family | undefined => familyOf(party.network.replace(/\/.*$/, ''))
