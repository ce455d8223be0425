import { formatMemories, parseMemories, type Store } from '@postern/core'
import type { Datastore } from 'interface-datastore'
import { Key } from 'interface-datastore/key'

const key = new Key('/postern/memory')

/** Returns a store of mappings in the node's datastore. If the data cannot be read, calls `warn` and loads nothing. */
export function datastoreStore(datastore: Datastore, warn: (error: unknown) => void): Store {
  return {
    async load() {
      try {
        if (!(await datastore.has(key))) return []
        return parseMemories(new TextDecoder().decode(await datastore.get(key)))
      } catch (error) {
        warn(error)
        return []
      }
    },
    async save(memories) {
      await datastore.put(key, new TextEncoder().encode(formatMemories(memories)))
    }
  }
}
