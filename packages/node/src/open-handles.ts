import { type Clock, clockWith } from '@postern/interface'
import type { Handle, HandleList } from '@postern/net'

/** The timers and sockets of one exposure, and whether they keep the process alive. */
export interface OpenHandles extends HandleList {
  /** The clock of the machine; its timers are on the list. */
  readonly clock: Clock
  /** Lets what is open, and what will be opened, keep the process alive. As it is at first. */
  ref(): void
  /** Lets the process end although something is open, or will be opened. */
  unref(): void
}

export function createOpenHandles(): OpenHandles {
  const open = new Set<Handle>()
  let isRef = true

  function add(handle: Handle): () => void {
    open.add(handle)
    if (!isRef) handle.unref()
    return () => open.delete(handle)
  }

  return {
    add,
    clock: clockWith({
      set(fire, ms) {
        const timer = setTimeout(() => {
          open.delete(timer)
          fire()
        }, ms)
        add(timer)
        return timer
      },
      clear(timer) {
        clearTimeout(timer)
        if (timer !== undefined) open.delete(timer)
      }
    }),
    ref() {
      isRef = true
      for (const handle of open) handle.ref()
    },
    unref() {
      isRef = false
      for (const handle of open) handle.unref()
    }
  }
}
