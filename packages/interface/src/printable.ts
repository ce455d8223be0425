/**
 * What a terminal, a log viewer or a reader could take for something else than text: control characters (C0, DEL, C1),
 * line and paragraph separators, and everything invisible: bidirectional controls, zero-width characters, fillers, tags,
 * lone surrogates, private and unassigned code points.
 */
const unprintable = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
const everyUnprintable = new RegExp(unprintable, 'gu')

/** Longer than any name, address or sentence that a person reads. */
const defaultMaxLength: number = 1000

/** Whether a terminal shows the text as it is: nothing in it is a control character, or invisible. */
export const isPrintable = (text: string): boolean => !unprintable.test(text)

/**
 * Text of the network, as a person, a terminal or a log may see it: names that routers give themselves, reasons that peers
 * give, addresses that they tell. Every character that is not printable becomes its JSON escape, `\u001b` for example, so
 * that JSON text keeps its meaning. What is longer than `maxLength` UTF-16 units is cut, and ends with `…`.
 */
export function printable(text: string, maxLength: number = defaultMaxLength): string {
  // Cut before as well: of a megabyte nothing but the beginning is looked at.
  const start = text.length > maxLength ? text.slice(0, maxLength) : text
  const clean = isPrintable(start) ? start : start.replace(everyUnprintable, escapeUnits)
  if (clean.length <= maxLength && start === text) return clean
  return `${clean.slice(0, Math.max(0, maxLength - 1))}…`.replace(/[\ud800-\udbff]…$/, '…')
}

const escapeUnits = (char: string): string =>
  Array.from({ length: char.length }, (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`).join(
    ''
  )

/** How many causes of causes are looked at. */
const maxCauses = 8

/** The cause of an error, for logs that show it: as it is where it is printable, else one with the same name and code, and
 * with printable text. */
export function printableCause(cause: unknown, depth: number = 0): unknown {
  if (typeof cause === 'string') return printable(cause)
  if (!(cause instanceof Error)) return cause
  if (depth >= maxCauses) return undefined
  const inner = cause.cause === undefined ? undefined : printableCause(cause.cause, depth + 1)
  const stackText = cause.stack?.replaceAll('\n', '') ?? ''
  if (inner === cause.cause && isPrintable(`${cause.name}${cause.message.replaceAll('\n', '')}${stackText}`))
    return cause
  const copy = new Error(printable(cause.message), inner === undefined ? undefined : { cause: inner })
  copy.name = printable(cause.name)
  return 'code' in cause && typeof cause.code === 'string' ? Object.assign(copy, { code: printable(cause.code) }) : copy
}
