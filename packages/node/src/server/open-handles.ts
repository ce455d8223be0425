import { type Clock, clockWith } from '@postern/interface'
import type { Handle, HandleList } from '@postern/net'

/** The timers and sockets of one exposure, and whether they keep the process alive. */
export interface OpenHandles extends HandleList {
  /** The system clock; its timers are in the list. */
  readonly clock: Clock
  /** Makes all handles, also later ones, keep the process alive. This is the default. */
  ref(): void
  /** Lets the process end although handles are open, also later ones. */
  unref(): void
}

/** Creates an empty list. */
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
