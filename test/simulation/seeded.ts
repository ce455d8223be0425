/** Returns a sequence of numbers in [0, 1) that is the same each time. */
export function seeded(seed: number): () => number {
  let state = seed
  const next = (): number => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
  // Neighbouring seeds begin with similar numbers.
  for (let count = 0; count < 10; count++) next()
  return next
}
