import type { Reading } from './sink.js'

/** The sources of one gauge. */
export interface SummedReadings {
  /** Adds a source. Returns a function that removes it; idempotent. */
  add(read: () => readonly Reading[]): () => void
  /** Returns the readings of all sources; the values with the same attributes are added up. */
  read(): readonly Reading[]
  readonly size: number
}

/** Creates the sources of a gauge, for a sink that several traversals may write to. */
export function createSummedReadings(): SummedReadings {
  const sources = new Set<{ readonly read: () => readonly Reading[] }>()
  return {
    add(read) {
      const source = { read }
      sources.add(source)
      return () => void sources.delete(source)
    },
    read() {
      const sums = new Map<string, Reading>()
      for (const source of sources) {
        for (const { value, attributes } of source.read()) {
          const key = JSON.stringify(Object.entries(attributes))
          sums.set(key, { attributes, value: value + (sums.get(key)?.value ?? 0) })
        }
      }
      return [...sums.values()]
    },
    get size() {
      return sources.size
    }
  }
}
