import { builtInStrategies } from './instruments.js'

/** How many names of other strategies have values of their own. Each value is a time series in the program that stores the
 * numbers. */
const maxOthers = 8

/** The names that other strategies may have in metrics. */
const plainName = /^[a-z0-9][a-z0-9._-]{0,39}$/

/** The value for every other name. */
const other = 'other'

/** Returns a function that returns the value of `postern.strategy` for the name of a strategy: the name itself of a
 * built-in one and of the first 8 others, and `other` for more of them and for a name that is not plain. */
export function createStrategyLabels(): (name: string) => string {
  const known = new Set<string>(builtInStrategies)
  const max = known.size + maxOthers
  return (name) => {
    if (known.has(name)) return name
    if (known.size >= max || !plainName.test(name)) return other
    known.add(name)
    return name
  }
}
