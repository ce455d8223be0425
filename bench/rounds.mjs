import { formatSpread, ratiosOf, spreadOf, spreadOfKnown } from './stats.mjs'

/**
 * The results of one contender, round by round. `first` is the first call in a fresh process, `again` the median of
 * the calls after it; undefined where it failed.
 *
 * @typedef {{ name: string, first: (number | undefined)[], again: (number | undefined)[], failures: string[] }}
 * Result
 */

/**
 * Lets contenders take turns: A B C, A B C, … One that fails twice in its first two turns is not asked again.
 *
 * @param {readonly import('./stage.mjs').Contender[]} contenders
 * @param {number} rounds
 * @param {(contender: import('./stage.mjs').Contender) => Promise<import('./stage.mjs').Sample>} sample
 * @param {(text: string) => void} progress
 * @returns {Promise<Result[]>}
 */
export async function takeTurns(contenders, rounds, sample, progress) {
  const results = contenders.map(({ name }) => ({ name, first: [], again: [], failures: [] }))
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      const result = results[index]
      if (round >= 2 && result.failures.length === round) continue
      progress(`round ${round + 1} of ${rounds}: ${contender.name}`)
      const { times, failure } = await sample(contender)
      if (failure !== undefined) result.failures.push(failure)
      result.first.push(times?.[0])
      result.again.push(spreadOf(times?.slice(1) ?? [])?.median)
    }
  }
  return results
}

/** Returns the result of a contender by name. */
export const resultOf = (results, name) => results.find((each) => each.name === name)

/**
 * Returns a table of results with their ratios to one of them.
 *
 * @param {readonly Result[]} results
 * @param {string} reference - the name of that one
 * @returns {import('./tables.mjs').Table}
 */
export function tableOf(caption, results, reference) {
  const base = resultOf(results, reference)
  const again = results.some((each) => each.again.some((time) => time !== undefined))
  const columns = ['', 'first call, ms', '× ours', ...(again ? ['later calls, ms', '× ours'] : [])]
  const cell = (numbers, others) => [
    formatSpread(spreadOfKnown(numbers)),
    numbers === others ? '1' : formatSpread(spreadOf(ratiosOf(numbers, others)))
  ]
  const rows = results.map((each) => {
    const fate = fateOf(each)
    if (fate !== undefined) return [each.name, fate, ...columns.slice(2).map(() => '–')]
    return [each.name, ...cell(each.first, base.first), ...(again ? cell(each.again, base.again) : [])]
  })
  return { caption, columns, rows }
}

/** Returns the text in place of a time. It distinguishes a contender that fails sometimes from one that always
 * fails. */
function fateOf({ first, failures }) {
  if (failures.length === 0) return undefined
  const why = failures[0]
  if (failures.length === first.length) return why.startsWith('>') ? why : `fails: ${why}`
  return `fails ${failures.length} of ${first.length} times: ${why}`
}

/** Returns the ratios of one result to another, of first or of later calls. */
export const compare = (results, name, reference, which) =>
  spreadOf(ratiosOf(resultOf(results, name)?.[which] ?? [], resultOf(results, reference)?.[which] ?? []))

/** Returns an aim in words, with its measured value. @returns {import('./tables.mjs').Aim} */
export const aim = (text, spread, unit, isMet) => ({
  text,
  measured: spread === undefined ? '–' : formatSpread(spread, unit),
  met: spread === undefined ? undefined : isMet(spread.median)
})
