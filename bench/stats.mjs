/** Returns the median of an ordered list of numbers. */
const middle = (sorted) => {
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/**
 * Returns minimum, median and maximum; undefined for an empty list.
 *
 * @param {readonly number[]} numbers
 */
export function spreadOf(numbers) {
  if (numbers.length === 0) return undefined
  const sorted = numbers.toSorted((a, b) => a - b)
  return { min: sorted[0], median: middle(sorted), max: sorted.at(-1), count: sorted.length }
}

/** Returns how many times as long as `reference` it took, round by round, without the rounds in which one of them
 * failed. */
export const ratiosOf = (numbers, reference) =>
  numbers.flatMap((each, round) => {
    const other = reference[round]
    return each === undefined || other === undefined ? [] : [each / other]
  })

/** @param {readonly (number | undefined)[]} numbers */
export const spreadOfKnown = (numbers) => spreadOf(numbers.filter((each) => each !== undefined))

const digits = (number) => (number >= 100 ? 0 : number >= 10 ? 1 : 2)

/** As in `1.20 (0.95–3.41)`. */
export function formatSpread(spread, unit = '') {
  if (spread === undefined) return '–'
  const places = digits(spread.median)
  const text = (number) => number.toFixed(places)
  return `${text(spread.median)}${unit} (${text(spread.min)}–${text(spread.max)})`
}

export const formatNumber = (number, unit = '') =>
  number === undefined ? '–' : `${number.toFixed(digits(Math.abs(number)))}${unit}`
