/** The source signals of each combined signal, kept alive as long as the combined signal. */
const sources = new WeakMap<AbortSignal, readonly AbortSignal[]>()

/**
 * Returns a signal that aborts with the first of the given signals, as `AbortSignal.any` does, and keeps these in
 * memory as long as the returned signal. Node.js 24.16 and later lose the abort of a source signal that is
 * garbage-collected before the combined signal is read (https://github.com/nodejs/node/issues/65995); a cancelled call
 * would then continue.
 */
export function anySignal(signals: readonly AbortSignal[]): AbortSignal {
  const any = AbortSignal.any([...signals])
  sources.set(any, signals)
  return any
}
