import { AsyncLocalStorage } from 'node:async_hooks'

/** What keeps a process alive unless told otherwise: a socket, a timer. */
export interface Handle {
  ref(): unknown
  unref(): unknown
}

/** A list of handles that are open. */
export interface HandleList {
  /** Adds a handle until the function that it returns is called. */
  add(handle: Handle): () => void
}

/** A strategy opens its sockets by itself, and is not told on whose behalf: the asynchronous context knows. */
const current = new AsyncLocalStorage<HandleList>()

/** Runs some work. Every socket that this package opens in it, and in what it starts, is added to the list while it is open. */
export const withHandles = <T>(list: HandleList, work: () => T): T => current.run(list, work)

/** Adds a socket to the list of the work that opens it, if there is one. */
export const addHandle = (handle: Handle): (() => void) => current.getStore()?.add(handle) ?? (() => undefined)
