import { type Family, familyOf, type Observer } from '@postern/interface'
import type { StrategyEntry } from '../discovery/discoveries.js'

/** An observer, and the strategy that found it. */
export interface Found {
  readonly observer: Observer
  readonly entry: StrategyEntry
}

/** Returns up to `count` observers for a socket of this family, on distinct networks first, because neighbours see the
 * same. Without a family, observers of any family. */
export function chooseObservers(
  entries: readonly StrategyEntry[],
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

/** Returns the family of an observer's network: `21.0.0.0/16` is IPv4. */
const familyIn = ({ party }: Observer): Family | undefined => familyOf(party.network.replace(/\/.*$/, ''))
