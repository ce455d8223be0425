/** Tells the parts of one traversal what has happened, so that they need not know each other. */
export interface Bus<Signals extends object> {
  /** Calls the listener for each signal of this name, in the order of registration. */
  on<Name extends keyof Signals>(name: Name, listener: (detail: Signals[Name]) => void): void
  /** Calls the listeners before it returns. */
  emit<Name extends keyof Signals>(name: Name, detail: Signals[Name]): void
}

export function createBus<Signals extends object>(): Bus<Signals> {
  const listeners: { [Name in keyof Signals]?: ((detail: Signals[Name]) => void)[] } = {}
  return {
    on(name, listener) {
      listeners[name] = [...(listeners[name] ?? []), listener]
    },
    emit(name, detail) {
      for (const listener of listeners[name] ?? []) listener(detail)
    }
  }
}
