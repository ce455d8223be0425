import type { Activity } from '../../shared/live-line.js'

/** The things that are waited for at the same time. */
export interface Pending {
  /** Resolves like `work`, which is waited for until then. */
  during<T>(doing: string, work: Promise<T>): Promise<T>
  /** Returns the first one that is still waited for. */
  first(): Activity | undefined
}

/** Creates an empty list of things to wait for. */
export function createPending(): Pending {
  const waits = new Set<string>()
  return {
    async during(doing, work) {
      waits.add(doing)
      try {
        return await work
      } finally {
        waits.delete(doing)
      }
    },
    first() {
      const [doing] = waits
      return doing === undefined ? undefined : { doing }
    }
  }
}
