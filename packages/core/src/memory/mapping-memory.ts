import {
  abortReason,
  type CallOptions,
  type Clock,
  type Endpoint,
  type Gateway,
  hasNextHop,
  orAborted
} from '@postern/interface'
import { createWakeup } from '../async/wakeup.js'
import { isMemory } from './codec.js'
import { isSameQuirks, knownQuirks, noteOf, quirksAfter, surplusNotes } from './router-quirks.js'
import type { Memory, Store } from './store.js'
import { createStoreTimeout } from './store-timeout.js'

export interface MappingMemory {
  /** Resolves when the store has been read, or does not answer in time. What it returns later is added then. */
  open(call: CallOptions): Promise<void>
  readonly all: () => readonly Memory[]
  /** Resolves with the memory of an endpoint at a gateway: the stored one, or a new one with a new key, which is not
   * saved yet. Rejects with the signal's reason. */
  recall(gateway: Gateway | null, endpoint: Endpoint, call: CallOptions): Promise<Memory>
  /** Returns the key that the memory of an endpoint at a gateway has, or will have. Stores nothing. */
  keyFor(gateway: Gateway, endpoint: Endpoint): string
  /** Gives a memory the key that other programs of this host use. Resolves and rejects like `saved`. */
  rekey(memory: Memory, key: string, call: CallOptions): Promise<Memory>
  /** Whether a memory has not been forgotten. */
  has(memory: Memory): boolean
  /** Returns the quirks of a router that one strategy reported, in this run and earlier ones. */
  quirks(gateway: Gateway | null, strategy: string): readonly string[]
  /** Changes a memory. The change is saved soon, or later if it only extends the mapping. */
  note(
    memory: Memory,
    changes: Partial<Pick<Memory, 'strategy' | 'externalPort' | 'wantedPort' | 'expiresAt' | 'verifiedAt'>> & {
      /** The quirks that the strategy reports. */
      readonly told?: readonly string[]
    }
  ): void
  /** Resolves when everything is saved, when that has failed, or when the store does not answer in time. Rejects with
   * the signal's reason. */
  saved(call: CallOptions): Promise<void>
  /** Forgets a memory. The quirks of its router stay, under another key. */
  forget(memory: Memory): void
  /** Saves what is not saved yet. Nothing is saved after that. */
  close(): Promise<void>
}

/** Batch delay for changes that need not be on disk at once (ms). */
const soonMs = 250
/** Extra delay per stored memory, because each save writes all of them (ms). */
const perMemoryMs = 0.1
/** Batch delay for changes that only extend a mapping (ms). */
const lazilyMs = 60_000
/** Beyond this number, memories without a live mapping are forgotten: a host that travels meets a new gateway each
 * day. */
const maxMemories = 1024
/** Maximum number of keys held for memories that do not exist yet. Beyond it all are dropped, and new keys are made. */
const maxReservedKeys = 64
/** Delay of the first key after the store was read (ms): the first requests have left by then. */
const keyAfterMs = 2
/** How long to wait for the store (ms): a missing disk must not keep a host unreachable. */
const patienceMs = 1500

export function createMappingMemory(store: Store, clock: Clock, onError: (error: unknown) => void): MappingMemory {
  const memories = new Map<string, Memory>()
  /** The memories with quirks. They are few, so that nothing has to search all memories. */
  const quirky = new Map<string, Memory>()
  // A hardware address may be known in one run and not in the next, so memories are found by address too.
  const byAddress = new Map<string, string>()
  const keys = new WeakMap<Memory, string>()
  let spareKey: string | undefined
  /** The keys of memories that do not exist yet. */
  const reservedKeys = new Map<string, string>()
  let purgeAt = maxMemories
  let dirty = false
  let hasFailed = false
  /** Pending while the store is read. Nothing is saved before that, so that unread memories are not overwritten. */
  let reading: Promise<void> | undefined
  let isOpening = false
  const withinTimeout = createStoreTimeout(patienceMs, clock, onError)
  let saving: Promise<void> | undefined
  let noting: Promise<void> | undefined
  let savedMs = Number.NEGATIVE_INFINITY
  let dueMs = Number.POSITIVE_INFINITY
  let closed = new AbortController()
  const wakeup = createWakeup(clock)

  async function save(): Promise<void> {
    while (dirty) {
      dirty = false
      dueMs = Number.POSITIVE_INFINITY
      savedMs = clock.monotonicMs()
      try {
        await store.save([...memories.values()])
        hasFailed = false
      } catch (error) {
        hasFailed = true
        onError(error)
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
      // Round up: the rest of a fraction may be too little for a clock to advance by.
      const leftMs = Math.ceil(Math.max(dueMs, savedMs + soonMs + memories.size * perMemoryMs) - clock.monotonicMs())
      if (leftMs > 0) await wakeup.wait(leftMs, call)
      else await (reading === undefined ? flush() : orAborted(reading, call))
    }
  }
  function saveWithin(ms: number): void {
    dirty = true
    const before = dueMs
    dueMs = Math.min(dueMs, clock.monotonicMs() + ms)
    if (noting !== undefined) {
      if (dueMs < before) wakeup.wake('rescan')
      return
    }
    // If the memory is closed meanwhile, `close` saves the rest.
    noting = saveNotes(closed).then(
      () => (noting = undefined),
      () => (noting = undefined)
    )
  }
  function put(key: string, memory: Memory): void {
    keys.set(memory, key)
    memories.set(key, memory)
    if (memory.quirks === undefined || memory.quirks.length === 0) quirky.delete(key)
    else quirky.set(key, memory)
  }
  function drop(key: string): void {
    memories.delete(key)
    quirky.delete(key)
  }
  function keep(memory: Memory): void {
    const key = keyOf(memory)
    put(key, memory)
    byAddress.set(bookKey({ ...memory.gateway, mac: null }, memory.endpoint), key)
  }
  const keyOf = (memory: Memory): string => keys.get(memory) ?? bookKey(memory.gateway, memory.endpoint)
  function find(gateway: Memory['gateway'], endpoint: Endpoint): Memory | undefined {
    const exact = memories.get(bookKey(gateway, endpoint))
    if (exact !== undefined) return exact
    const similar = memories.get(byAddress.get(bookKey({ ...gateway, mac: null }, endpoint)) ?? '')
    return similar === undefined || (gateway.mac !== null && similar.gateway.mac !== null) ? undefined : similar
  }

  /** Returns the memories to forget before another one is added: those of networks that the host left long ago. */
  function surplusIdle(): readonly Memory[] {
    if (memories.size < purgeAt) return []
    const now = clock.wallMs()
    const isIdle = ({ externalPort, expiresAt }: Memory): boolean =>
      externalPort === null || (expiresAt !== null && expiresAt <= now)
    const surplus = [...memories.values()].filter(isIdle).slice(0, memories.size - maxMemories + 1)
    // If all of them are needed, do not search them again for each new one.
    purgeAt = Math.max(maxMemories, 2 * (memories.size - surplus.length))
    return surplus
  }

  /** Makes the next key while the answers of routers are awaited: loading Web Crypto takes longer than a near router. */
  async function prepareKey(call: CallOptions): Promise<void> {
    await clock.sleep(keyAfterMs, call)
    spareKey ??= newKey()
  }

  /** Returns the key for a new memory, once. */
  function takeReservedKey(gateway: Memory['gateway'], endpoint: Endpoint): string {
    const at = bookKey(gateway, endpoint)
    const key = reservedKeys.get(at) ?? takeKey()
    reservedKeys.delete(at)
    return key
  }

  function takeKey(): string {
    const key = spareKey ?? newKey()
    spareKey = undefined
    return key
  }

  /** Reads the store. Never rejects. A late result adds memories that are unknown, and changes none that is known. */
  async function read(): Promise<void> {
    try {
      const stored: unknown = await store.load()
      if (!Array.isArray(stored)) throw new TypeError('the store returned no array of memories')
      const usable = stored.filter(isMemory)
      if (usable.length < stored.length) onError(new TypeError('the store returned entries that are not memories'))
      for (const memory of usable) if (isOpening || find(memory.gateway, memory.endpoint) === undefined) keep(memory)
    } catch (error) {
      onError(error)
    }
    reading = undefined
    if (dirty && !closed.signal.aborted) saveWithin(0)
  }

  return {
    async open(call) {
      closed = new AbortController()
      reservedKeys.clear()
      isOpening = true
      // Deferred, so that `reading` is set before a store that throws at once is done.
      reading ??= Promise.resolve().then(read)
      await withinTimeout(reading, call).catch(() => undefined)
      isOpening = false
      if (!call.signal.aborted) prepareKey(closed).catch(() => undefined)
    },
    all: () => [...memories.values()],
    async recall(gateway, endpoint, call) {
      const at = placeOf(gateway)
      const known = find(at, endpoint)
      const memory = known ?? {
        gateway: at,
        endpoint,
        strategy: null,
        key: takeReservedKey(at, endpoint),
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
    keyFor(gateway, endpoint) {
      const at = placeOf(gateway)
      const known = find(at, endpoint)
      if (known !== undefined) return known.key
      const key = reservedKeys.get(bookKey(at, endpoint)) ?? takeKey()
      if (reservedKeys.size >= maxReservedKeys) reservedKeys.clear()
      reservedKeys.set(bookKey(at, endpoint), key)
      return key
    },
    async rekey(memory, key, call) {
      const next = { ...(memories.get(keyOf(memory)) ?? memory), key }
      keep(next)
      dirty = true
      await withinTimeout(flush(), call)
      return next
    },
    // A forgotten memory may remain as a note of quirks, under another key.
    has: (memory) => memories.get(keyOf(memory))?.key === memory.key,
    quirks: (gateway, strategy) => knownQuirks(quirky.values(), placeOf(gateway), strategy),
    note(memory, { told, ...changes }) {
      const key = keyOf(memory)
      const current = memories.get(key) ?? memory
      const quirks = told && quirksAfter(current.quirks, changes.strategy ?? '', told)
      const next = { ...current, ...changes, ...(quirks === undefined ? {} : { quirks }) }
      put(key, next)
      const isOld =
        next.externalPort === current.externalPort &&
        next.strategy === current.strategy &&
        isSameQuirks(next.quirks, current.quirks)
      saveWithin(isOld ? lazilyMs : soonMs)
    },
    saved: (call) => withinTimeout(flush(), call),
    forget(memory) {
      const key = keyOf(memory)
      const known = memories.get(key)
      if (known === undefined) return
      drop(key)
      const note = noteOf(known, quirky.values(), takeKey())
      if (note !== undefined) keep(note)
      for (const surplus of surplusNotes(quirky.values())) drop(keyOf(surplus))
      saveWithin(soonMs)
    },
    async close() {
      closed.abort(over)
      if (noting !== undefined) await withinTimeout(noting, unlimited)
      if (hasFailed) dirty = true
      await withinTimeout(flush(), unlimited)
    }
  }
}

const over = abortReason('the memory is closed')
const unlimited: CallOptions = { signal: new AbortController().signal }

const nowhere = { address: '', mac: null }
const placeOf = (gateway: Gateway | null): Memory['gateway'] =>
  gateway === null || !hasNextHop(gateway) ? nowhere : { address: gateway.address, mac: gateway.mac ?? null }
const newKey = (): string => hex(crypto.getRandomValues(new Uint8Array(16)))

/** The hardware address distinguishes networks that use the same addresses. Without one, the address is the key. */
const bookKey = (gateway: Memory['gateway'], { protocol, address, port }: Endpoint): string =>
  `${gateway.mac ?? gateway.address} ${protocol} ${address} ${port}`

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Returns the key of a memory as the 16 bytes that a request carries. */
export const keyBytes = ({ key }: Memory): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(key.slice(index * 2, index * 2 + 2), 16))
