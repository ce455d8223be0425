import type { Attributes, Reading } from './sink.js'

/** The sources of one gauge. */
export interface SummedReadings {
  /** Adds a source. Returns a function that removes it; idempotent. */
  add(read: () => readonly Reading[]): () => void
  /** Returns the readings of all sources; the values with the same attributes are added up. Attributes that had a value
   * before have 0 now, because collectors keep the last value that they were given. */
  read(): readonly Reading[]
}

/** Creates the sources of a gauge, for a sink that several traversals may write to. */
export function createSummedReadings(): SummedReadings {
  const sources = new Set<{ readonly read: () => readonly Reading[] }>()
  const known = new Map<string, Attributes>()
  return {
    add(read) {
      const source = { read }
      sources.add(source)
      return () => void sources.delete(source)
    },
    read() {
      const sums = new Map<string, number>()
      for (const source of sources) {
        for (const { value, attributes } of source.read()) {
          const key = JSON.stringify(Object.entries(attributes))
          known.set(key, attributes)
          sums.set(key, value + (sums.get(key) ?? 0))
        }
      }
      return [...known].map(([key, attributes]) => ({ value: sums.get(key) ?? 0, attributes }))
    }
  }
}
