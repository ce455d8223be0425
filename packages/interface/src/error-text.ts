/** How many errors inside an error are read. */
const maxInner = 8

/**
 * Returns what an error says, in one text that is never empty. An `AggregateError`, such as a refused connection to a name
 * with two addresses, has no text of its own: the texts of its errors stand in for it. Where there is no text, the code or
 * the name does. The text is as it came: use `printable` before it is shown.
 */
export function errorText(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) return String(error).trim() || 'no reason was given'
  const own = error.message.trim()
  if (own !== '') return own
  const inner = error instanceof AggregateError && depth < maxInner ? error.errors.slice(0, maxInner) : []
  const texts = [...new Set(inner.map((each) => errorText(each, depth + 1)))]
  if (texts.length > 0) return texts.join('; ')
  return 'code' in error && typeof error.code === 'string' && error.code !== '' ? error.code : error.name || 'Error'
}
