import { AsyncLocalStorage } from 'node:async_hooks'

/** An object that keeps the process alive until it is unreferenced: a socket or a timer. */
export interface Handle {
  /** Makes it keep the process alive. */
  ref(): unknown
  /** Lets the process end although it is open. */
  unref(): unknown
}

/** A list of open handles. */
export interface HandleList {
  /** Adds a handle. Returns a function that removes it. */
  add(handle: Handle): () => void
}

/** Strategies open their own sockets and do not know for which caller; the asynchronous context does. */
const current = new AsyncLocalStorage<HandleList>()

/** Runs `work`. Every socket that this package opens in it, or in asynchronous calls that it starts, is in the list
 * while it is open. Returns the result of `work`. */
export const withHandles = <T>(list: HandleList, work: () => T): T => current.run(list, work)

/** Adds a socket to the handle list of the current asynchronous context, if there is one. Returns a function that
 * removes it. */
export const addHandle = (handle: Handle): (() => void) => current.getStore()?.add(handle) ?? (() => undefined)
