/** What a signal follows, for as long as the signal itself can be read. */
const sources = new WeakMap<AbortSignal, readonly AbortSignal[]>()

/**
 * Returns a signal that aborts with the first of the signals, as `AbortSignal.any` does, and keeps them in memory as long as
 * it is. Node.js 24.16 and later lose the abort of a signal that is collected before its follower is read
 * (https://github.com/nodejs/node/issues/65995), and then a cancelled call goes on.
 */
export function anySignal(signals: readonly AbortSignal[]): AbortSignal {
  const any = AbortSignal.any([...signals])
  sources.set(any, signals)
  return any
}
