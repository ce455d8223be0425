/**
 * Characters that a terminal, a log viewer or a reader could misinterpret: control characters (C0, DEL, C1), line and
 * paragraph separators, and everything invisible: bidirectional controls, zero-width characters, fillers, tags, lone
 * surrogates, private and unassigned code points.
 */
const unprintable = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
const everyUnprintable = new RegExp(unprintable, 'gu')

/** Longer than any name, address or sentence that is worth showing. */
const defaultMaxLength: number = 1000

/** Returns whether a text contains no control characters and no invisible ones, so that a terminal shows it as it
 * is. */
export const isPrintable = (text: string): boolean => !unprintable.test(text)

/**
 * Makes text from the network safe to show in a terminal or a log: names that routers give themselves, reasons and
 * addresses from peers. Replaces every unprintable character by its JSON escape, `\u001b` for example, so that JSON
 * keeps its meaning. Cuts text that is longer than `maxLength` UTF-16 units, and ends it with `…`.
 */
export function printable(text: string, maxLength: number = defaultMaxLength): string {
  // Cut first, so that the regular expression does not run over megabytes.
  const start = text.length > maxLength ? text.slice(0, maxLength) : text
  const clean = isPrintable(start) ? start : start.replace(everyUnprintable, escapeUnits)
  if (clean.length <= maxLength && start === text) return clean
  // The escape keeps the built file within Latin-1: V8 stores and compiles other text in two bytes a character.
  return `${clean.slice(0, Math.max(0, maxLength - 1))}…`.replace(/[\ud800-\udbff]\u2026$/, '…')
}

const escapeUnits = (char: string): string =>
  Array.from({ length: char.length }, (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`).join(
    ''
  )

/** How many causes of causes are kept. An error may be its own cause, and the chain would never end. */
const maxCauses = 8

/** Makes the cause of an error printable for logs. Returns the same object if it is printable already, otherwise a copy
 * with the same name and code and with printable text. */
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
