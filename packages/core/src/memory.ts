import { type CallOptions, type Clock, type Endpoint, type Gateway, hasNextHop } from '@postern/interface'
import { createBell } from './bell.js'
import { isMemory } from './memory-text.js'
import { createPatience, unlessAborted } from './patience.js'
import { isSameQuirks, knownQuirks, noteOf, quirksAfter, surplusNotes } from './quirks.js'

/** What is remembered of one mapping, across runs and across `kill -9`. JSON, times in Unix ms. */
export interface Memory {
  readonly gateway: { readonly address: string; readonly mac: string | null }
  readonly endpoint: Endpoint
  readonly strategy: string | null
  /** 32 hexadecimal digits. A secret: whoever knows it can delete the mapping. */
  readonly key: string
  /** Null until one was granted. */
  readonly externalPort: number | null
  /** The one that was wanted then: another wish is not answered with what an old one got. */
  readonly wantedPort: number | null
  /** Null until something was granted, and for what never lapses. */
  readonly expiresAt: number | null
  /** When the address was last verified from outside. */
  readonly verifiedAt: number | null
  /** What strategies found the router to do otherwise than their protocols say, as `upnp:only-permanent-leases`. They outlive
   * the mapping, and requests carry them. */
  readonly quirks?: readonly string[]
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
  /** Resolves when the store has been read, or does not answer in time: what it says later is added then. */
  open(call: CallOptions): Promise<void>
  readonly all: () => readonly Memory[]
  /** The memory of an endpoint at a gateway: the stored one, or a new one with a new key, which is not saved yet. Rejects with
   * the signal's reason. */
  recall(gateway: Gateway | null, endpoint: Endpoint, call: CallOptions): Promise<Memory>
  /** Gives a memory another key, which other programs of this host use. Resolves and rejects as `saved`. */
  rekey(memory: Memory, key: string, call: CallOptions): Promise<Memory>
  /** Whether it has not been forgotten. */
  has(memory: Memory): boolean
  /** What is remembered of a router that a strategy maps on, from this run and earlier ones. */
  quirks(gateway: Gateway | null, strategy: string): readonly string[]
  /** Changes a memory. Saved soon: what a later run cannot do without sooner than the rest. */
  note(
    memory: Memory,
    changes: Partial<Pick<Memory, 'strategy' | 'externalPort' | 'wantedPort' | 'expiresAt' | 'verifiedAt'>> & {
      /** The quirks that the strategy tells of. */
      readonly told?: readonly string[]
    }
  ): void
  /** Resolves when everything is saved, when that has failed, or when the store does not answer in time. Rejects with the
   * signal's reason. */
  saved(call: CallOptions): Promise<void>
  /** The quirks of its router stay, under another key. */
  forget(memory: Memory): void
  /** Saves what is not saved yet, and nothing after that. */
  close(): Promise<void>
}

/** Changes that need not be on disk before anything else happens are saved together, at most so often, in ms; */
const soonMs = 250
/** and so much later for each memory, since all of them are written; */
const perMemoryMs = 0.1
/** and where only the time of a mapping was extended, so late. */
const lazilyMs = 60_000
/** Beyond so many, those whose mapping has run out are forgotten: a host that travels meets a new gateway each day. */
const maxMemories = 1024
/** A store that takes longer, in ms, is not waited for: a disk that is away must not keep a host unreachable. */
const patienceMs = 1500

export function createMemoryBook(store: Store, clock: Clock, complain: (error: unknown) => void): MemoryBook {
  const book = new Map<string, Memory>()
  /** Those that tell of quirks, which are few: nothing looks through the whole book for them. */
  const quirky = new Map<string, Memory>()
  // A hardware address may be known in one run and not in the next, so memories are found by address too.
  const byAddress = new Map<string, string>()
  const keys = new WeakMap<Memory, string>()
  let purgeAt = maxMemories
  let dirty = false
  let hasFailed = false
  /** What has not been read yet is not written over. */
  let reading: Promise<void> | undefined
  let isOpening = false
  const patience = createPatience(patienceMs, clock, complain)
  let saving: Promise<void> | undefined
  let noting: Promise<void> | undefined
  let savedMs = Number.NEGATIVE_INFINITY
  let dueMs = Number.POSITIVE_INFINITY
  let closed = new AbortController()
  const bell = createBell(clock)

  async function save(): Promise<void> {
    while (dirty) {
      dirty = false
      dueMs = Number.POSITIVE_INFINITY
      savedMs = clock.monotonicMs()
      try {
        await store.save([...book.values()])
        hasFailed = false
      } catch (error) {
        hasFailed = true
        complain(error)
      }
    }
    saving = undefined
  }
  function flush(): Promise<void> {
    if (dirty && reading === undefined) saving ??= Promise.resolve().then(save)
    return saving ?? Promise.resolve()
  }
  async function saveNotes(call: CallOptions): Promise<void> {
    while (dirty) {
      // Whole ones: what is left of a fraction may be too little for a clock to go on by.
      const leftMs = Math.ceil(Math.max(dueMs, savedMs + soonMs + book.size * perMemoryMs) - clock.monotonicMs())
      if (leftMs > 0) await bell.wait(leftMs, call)
      else await (reading === undefined ? flush() : unlessAborted(reading, call))
    }
  }
  function saveWithin(ms: number): void {
    dirty = true
    const before = dueMs
    dueMs = Math.min(dueMs, clock.monotonicMs() + ms)
    if (noting !== undefined) {
      if (dueMs < before) bell.ring('look')
      return
    }
    // What is still to be saved when it is closed, `close` saves.
    noting = saveNotes(closed).then(
      () => (noting = undefined),
      () => (noting = undefined)
    )
  }
  function put(key: string, memory: Memory): void {
    keys.set(memory, key)
    book.set(key, memory)
    if (memory.quirks === undefined || memory.quirks.length === 0) quirky.delete(key)
    else quirky.set(key, memory)
  }
  function drop(key: string): void {
    book.delete(key)
    quirky.delete(key)
  }
  function keep(memory: Memory): void {
    const key = keyOf(memory)
    put(key, memory)
    byAddress.set(bookKey({ ...memory.gateway, mac: null }, memory.endpoint), key)
  }
  const keyOf = (memory: Memory): string => keys.get(memory) ?? bookKey(memory.gateway, memory.endpoint)
  function find(gateway: Memory['gateway'], endpoint: Endpoint): Memory | undefined {
    const exact = book.get(bookKey(gateway, endpoint))
    if (exact !== undefined) return exact
    const similar = book.get(byAddress.get(bookKey({ ...gateway, mac: null }, endpoint)) ?? '')
    return similar === undefined || (gateway.mac !== null && similar.gateway.mac !== null) ? undefined : similar
  }

  /** What to forget before another memory is kept: of networks that the host has left long ago. */
  function surplusIdle(): readonly Memory[] {
    if (book.size < purgeAt) return []
    const now = clock.wallMs()
    const isIdle = ({ externalPort, expiresAt }: Memory): boolean =>
      externalPort === null || (expiresAt !== null && expiresAt <= now)
    const surplus = [...book.values()].filter(isIdle).slice(0, book.size - maxMemories + 1)
    // Where all of them are wanted, it is not looked through again for each new one.
    purgeAt = Math.max(maxMemories, 2 * (book.size - surplus.length))
    return surplus
  }

  /** Rejects for nothing. What comes late adds what is not known yet, and changes nothing that is. */
  async function read(): Promise<void> {
    try {
      const stored: unknown = await store.load()
      if (!Array.isArray(stored)) throw new TypeError('the store gave no array of memories')
      const usable = stored.filter(isMemory)
      if (usable.length < stored.length) complain(new TypeError('the store gave entries that are no memories'))
      for (const memory of usable) if (isOpening || find(memory.gateway, memory.endpoint) === undefined) keep(memory)
    } catch (error) {
      complain(error)
    }
    reading = undefined
    if (dirty && !closed.signal.aborted) saveWithin(0)
  }

  return {
    async open(call) {
      closed = new AbortController()
      isOpening = true
      // In a later turn: a store that throws at once must not be over before it is noted.
      reading ??= Promise.resolve().then(read)
      await patience(reading, call).catch(() => undefined)
      isOpening = false
    },
    all: () => [...book.values()],
    async recall(gateway, endpoint, call) {
      const at = placeOf(gateway)
      const known = find(at, endpoint)
      const memory = known ?? {
        gateway: at,
        endpoint,
        strategy: null,
        key: newKey(),
        externalPort: null,
        wantedPort: null,
        expiresAt: null,
        verifiedAt: null
      }
      if (known === undefined) {
        for (const idle of surplusIdle()) drop(keyOf(idle))
        keep(memory)
        dirty = true
      }
      call.signal.throwIfAborted()
      return memory
    },
    async rekey(memory, key, call) {
      const next = { ...(book.get(keyOf(memory)) ?? memory), key }
      keep(next)
      dirty = true
      await patience(flush(), call)
      return next
    },
    // One that was forgotten may live on as a note, under another key.
    has: (memory) => book.get(keyOf(memory))?.key === memory.key,
    quirks: (gateway, strategy) => knownQuirks(quirky.values(), placeOf(gateway), strategy),
    note(memory, { told, ...changes }) {
      const key = keyOf(memory)
      const current = book.get(key) ?? memory
      const quirks = told && quirksAfter(current.quirks, changes.strategy ?? '', told)
      const next = { ...current, ...changes, ...(quirks === undefined ? {} : { quirks }) }
      put(key, next)
      const isOld =
        next.externalPort === current.externalPort &&
        next.strategy === current.strategy &&
        isSameQuirks(next.quirks, current.quirks)
      saveWithin(isOld ? lazilyMs : soonMs)
    },
    saved: (call) => patience(flush(), call),
    forget(memory) {
      const key = keyOf(memory)
      const known = book.get(key)
      if (known === undefined) return
      drop(key)
      const note = noteOf(known, quirky.values(), newKey())
      if (note !== undefined) keep(note)
      for (const surplus of surplusNotes(quirky.values())) drop(keyOf(surplus))
      saveWithin(soonMs)
    },
    async close() {
      closed.abort(over)
      if (noting !== undefined) await patience(noting, unlimited)
      if (hasFailed) dirty = true
      await patience(flush(), unlimited)
    }
  }
}

/** Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('the book is closed')
const unlimited: CallOptions = { signal: new AbortController().signal }

const nowhere = { address: '', mac: null }
const placeOf = (gateway: Gateway | null): Memory['gateway'] =>
  gateway === null || !hasNextHop(gateway) ? nowhere : { address: gateway.address, mac: gateway.mac ?? null }
const newKey = (): string => hex(crypto.getRandomValues(new Uint8Array(16)))

/** The hardware address tells two networks apart that use the same addresses; without it the address must do. */
const bookKey = (gateway: Memory['gateway'], { protocol, address, port }: Endpoint): string =>
  `${gateway.mac ?? gateway.address} ${protocol} ${address} ${port}`

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** The key of a memory as the 16 bytes that a request carries. */
export const keyBytes = ({ key }: Memory): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(key.slice(index * 2, index * 2 + 2), 16))
