/** How many inner errors of an error are read, and how deep: errors of other libraries may be large, or contain
 * themselves. */
const maxInner = 8

/**
 * Returns the message of an error, which is never empty. An `AggregateError`, such as the refusal of a connection to a
 * name with two addresses, has no message of its own: the messages of its inner errors are joined instead. Without any
 * message, returns the code or the name. The text is not escaped: pass it to `printable` before you show it.
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
