/** A callback of the originals. It gets an error alone, or no error and the value. */
export type Callback<Values extends readonly unknown[]> = (error?: Error, ...values: Values) => void

const isCallback = (value: unknown): value is Callback<readonly unknown[]> => typeof value === 'function'

/** Returns the first function among arguments. */
export const findCallback = (...values: readonly unknown[]): Callback<readonly unknown[]> | undefined =>
  values.find(isCallback)

/** What a callback gets: an error, or the values. */
export type Answer<Values extends readonly unknown[]> = readonly [Error] | readonly [undefined, ...Values]

/**
 * Calls back with what `work` settles with. The callback runs once, outside of every promise: an exception in it is an
 * uncaught exception of the caller, and neither a rejection nor a second call.
 */
export function callBack<T, Values extends readonly unknown[]>(
  work: Promise<T>,
  callback: Callback<Values>,
  answerOf: (result: T) => Answer<Values> | readonly []
): void {
  work.then(
    (result) => process.nextTick(callback, ...answerOf(result)),
    (error: unknown) => process.nextTick(callback, error)
  )
}
