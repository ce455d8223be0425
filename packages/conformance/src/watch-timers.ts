/** Counts calls of `setTimeout` and `setInterval` in this process until `restore` is called. */
export function watchTimers(): { readonly count: () => number; readonly restore: () => void } {
  const { setTimeout: realTimeout, setInterval: realInterval } = globalThis
  let used = 0
  const counted = <F extends typeof realTimeout | typeof realInterval>(real: F): F =>
    new Proxy(real, {
      apply(timer, self, args) {
        used += 1
        return Reflect.apply(timer, self, args)
      }
    })
  globalThis.setTimeout = counted(realTimeout)
  globalThis.setInterval = counted(realInterval)
  return {
    count: () => used,
    restore() {
      globalThis.setTimeout = realTimeout
      globalThis.setInterval = realInterval
    }
  }
}
