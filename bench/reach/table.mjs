/** Returns the outcome of one contender in one topology, in words. */
export function describe({ claims }) {
  if (claims.length === 0) return '–'
  const words = [
    claims.some(({ isReached, isRelayed }) => isReached && !isRelayed) ? 'direct' : [],
    claims.some(({ isReached, isRelayed }) => isReached && isRelayed) ? 'relayed' : [],
    claims.some(({ isReached }) => !isReached) ? '**False**' : []
  ].flat()
  return words.join(', ')
}

const headings = (contenders) => contenders.map(({ name }) => name)

/** @returns {import('../tables.mjs').Table} */
export const tableOf = (contenders, rows) => ({
  caption: 'How the home is reached',
  columns: ['topology', ...headings(contenders)],
  rows: rows.map(({ topology, results }) => [topology, ...results.map(describe)])
})

/** @returns {import('../tables.mjs').Table} */
export function tallyOf(contenders, rows) {
  const count = (index, holds) => rows.filter(({ results }) => holds(results[index].claims)).length
  const line = (text, holds) => [text, ...contenders.map((_, index) => `${count(index, holds)} of ${rows.length}`)]
  return {
    caption: 'In how many topologies',
    columns: ['the home is', ...headings(contenders)],
    rows: [
      line('reached from outside', (claims) => claims.some(({ isReached }) => isReached)),
      line('reached directly', (claims) => claims.some(({ isReached, isRelayed }) => isReached && !isRelayed)),
      line('claimed falsely to be reachable', (claims) => claims.some(({ isReached }) => !isReached))
    ]
  }
}
