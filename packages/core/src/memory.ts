import { type Clock, type Endpoint, type Gateway, hasNextHop } from '@postern/interface'

/** What is remembered of one mapping, across runs and across `kill -9`. JSON, times in Unix ms. */
export interface Memory {
  readonly gateway: { readonly address: string; readonly mac: string | null }
  readonly endpoint: Endpoint
  readonly strategy: string | null
  /** 32 hexadecimal digits. A secret: whoever knows it can delete the mapping. */
  readonly key: string
  /** Null until one was granted. */
  readonly externalPort: number | null
  /** Null until something was granted, and for what never lapses. */
  readonly expiresAt: number | null
  /** When the address was last verified from outside. */
  readonly verifiedAt: number | null
}

/** Where memories are kept. `load` gives an empty array where there is nothing yet, or nothing usable. */
export interface Store {
  load(): Promise<readonly Memory[]>
  /** Replaces everything, at once or not at all. */
  save(memories: readonly Memory[]): Promise<void>
}

/** A store that forgets with the process: the default. */
export function memoryStore(memories: readonly Memory[] = []): Store {
  let kept = memories
  return {
    load: async () => kept,
    save: async (next) => {
      kept = next
    }
  }
}

export interface MemoryBook {
  open(): Promise<void>
  readonly all: () => readonly Memory[]
  /** The memory of an endpoint at a gateway: the stored one, or a new one with a new key. Resolves when it is saved. */
  recall(gateway: Gateway | null, endpoint: Endpoint): Promise<Memory>
  /** Changes a memory. Saved soon; {@link MemoryBook.flush} waits for it. */
  note(memory: Memory, changes: Partial<Pick<Memory, 'strategy' | 'externalPort' | 'expiresAt' | 'verifiedAt'>>): void
  forget(memory: Memory): void
  flush(): Promise<void>
  /** Saves what is not saved yet, and nothing after that. */
  close(): Promise<void>
}

/** Changes that need not be on disk before anything else happens are saved together, at most so often. */
const notesMs = 250

export function createMemoryBook(store: Store, clock: Clock, complain: (error: unknown) => void): MemoryBook {
  const book = new Map<string, Memory>()
  // A hardware address may be known in one run and not in the next, so memories are found by address too.
  const byAddress = new Map<string, string>()
  let dirty = false
  let saving: Promise<void> | undefined
  let noting: Promise<void> | undefined
  const closed = new AbortController()

  async function save(): Promise<void> {
    while (dirty) {
      dirty = false
      try {
        await store.save([...book.values()])
      } catch (error) {
        complain(error)
      }
    }
    saving = undefined
  }
  function flush(): Promise<void> {
    if (dirty) saving ??= Promise.resolve().then(save)
    return saving ?? Promise.resolve()
  }
  async function saveNotes(): Promise<void> {
    while (dirty && !closed.signal.aborted) {
      await flush()
      await clock.sleep(notesMs, closed).catch(() => undefined)
    }
    noting = undefined
  }
  function saveSoon(): void {
    dirty = true
    noting ??= saveNotes()
  }
  function keep(memory: Memory): void {
    const key = bookKey(memory.gateway, memory.endpoint)
    book.set(key, memory)
    byAddress.set(bookKey({ ...memory.gateway, mac: null }, memory.endpoint), key)
  }
  function put(memory: Memory): void {
    keep(memory)
    dirty = true
  }
  function find(gateway: Memory['gateway'], endpoint: Endpoint): Memory | undefined {
    const exact = book.get(bookKey(gateway, endpoint))
    if (exact !== undefined) return exact
    const similar = book.get(byAddress.get(bookKey({ ...gateway, mac: null }, endpoint)) ?? '')
    return similar === undefined || (gateway.mac !== null && similar.gateway.mac !== null) ? undefined : similar
  }

  return {
    async open() {
      try {
        for (const memory of await store.load()) keep(memory)
      } catch (error) {
        complain(error)
      }
    },
    all: () => [...book.values()],
    async recall(gateway, endpoint) {
      const at =
        gateway === null || !hasNextHop(gateway) ? nowhere : { address: gateway.address, mac: gateway.mac ?? null }
      const known = find(at, endpoint)
      if (known !== undefined) {
        await flush()
        return known
      }
      const fresh: Memory = {
        gateway: at,
        endpoint,
        strategy: null,
        key: hex(crypto.getRandomValues(new Uint8Array(16))),
        externalPort: null,
        expiresAt: null,
        verifiedAt: null
      }
      put(fresh)
      await flush()
      return fresh
    },
    note(memory, changes) {
      const current = book.get(bookKey(memory.gateway, memory.endpoint))
      if (current === undefined) return
      keep({ ...current, ...changes })
      saveSoon()
    },
    forget(memory) {
      if (book.delete(bookKey(memory.gateway, memory.endpoint))) saveSoon()
    },
    flush,
    async close() {
      closed.abort()
      await noting
      await flush()
    }
  }
}

const nowhere = { address: '', mac: null }

/** The hardware address tells two networks apart that use the same addresses; without it the address must do. */
const bookKey = (gateway: Memory['gateway'], { protocol, address, port }: Endpoint): string =>
  `${gateway.mac ?? gateway.address} ${protocol} ${address} ${port}`

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** The key of a memory as the 16 bytes that a request carries. */
export const keyBytes = ({ key }: Memory): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(key.slice(index * 2, index * 2 + 2), 16))
