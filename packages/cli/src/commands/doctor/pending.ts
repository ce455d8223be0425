import type { Activity } from '../../shared/live-line.js'

/** What the command waits for, several promises at the same time. */
export interface Pending {
  /** Settles as `work` does, and counts it as waited for until then. */
  during<T>(doing: string, work: Promise<T>): Promise<T>
  /** Returns the first promise that is still waited for; undefined if there is none. */
  first(): Activity | undefined
}

/** Creates an empty list. */
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
