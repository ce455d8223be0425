import type { Lease } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { formatMemories, type Memory, memoryStore, parseMemories, type Store } from '../../src/index.js'
import { begin, end, type Scripted, type Stage, scripted, stage, web } from '../support.js'

const stored: Memory = {
  gateway: { address: '192.168.1.1', mac: null },
  endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.2', port: 8080 },
  strategy: 'pcp',
  key: '00112233445566778899aabbccddeeff',
  externalPort: 8080,
  wantedPort: null,
  expiresAt: null,
  verifiedAt: null
}
const another: Memory = { ...stored, endpoint: { ...stored.endpoint, address: '192.168.1.77', port: 9090 } }
const never = (): Promise<never> => new Promise(() => undefined)

const withStore = (store: Store): Stage => {
  const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], { store })
  each.traversal.addEndpoint(web)
  return each
}

async function isOver(each: Stage, work: Promise<unknown>, withinMs: number): Promise<boolean> {
  let over = false
  void work.then(() => (over = true))
  await each.clock.advance(withinMs)
  return over
}

describe('a store', () => {
  const broken: readonly (readonly [string, Store])[] = [
    ['with a load that hangs', { load: never, save: async () => undefined }],
    ['with a save that hangs', { load: async () => [], save: never }],
    ['that hangs', { load: never, save: never }],
    [
      'with a load that throws',
      {
        load() {
          throw new Error('no disk')
        },
        save: async () => undefined
      }
    ],
    ['with a load that rejects', { load: () => Promise.reject(new Error('no disk')), save: async () => undefined }],
    [
      'with a save that throws',
      {
        load: async () => [],
        save() {
          throw new Error('no disk')
        }
      }
    ],
    ['with a save that rejects', { load: async () => [], save: () => Promise.reject(new Error('no disk')) }],
    ...[undefined, null, 7, 'text', {}, [null], ['text'], [{}], [{ ...stored, gateway: null }], [[]]].map(
      (garbage): readonly [string, Store] => [
        `that gives ${JSON.stringify(garbage)}`,
        { load: async () => garbage as never, save: async () => undefined }
      ]
    )
  ]
  it.each(broken)('a store %s prevents no mapping and does not delay a stop', async (_, store) => {
    const each = withStore(store)
    const started = each.traversal.start()
    expect(await isOver(each, started, 1600)).toBe(true)
    await each.clock.advance(2500)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    const stopped = each.traversal.stop()
    expect(await isOver(each, stopped, 1600)).toBe(true)
    expect(each.told().at(-1)).toBe('released pcp 11.0.0.2:8080')
    expect(each.clock.pending).toBe(0)
  })

  it('a store that is slow to load is not overwritten before it was read, and its memories are added', async () => {
    const late = Promise.withResolvers<readonly Memory[]>()
    let kept: readonly Memory[] | undefined
    const each = withStore({
      load: () => late.promise,
      async save(all) {
        kept = all
      }
    })
    void each.traversal.start()
    await each.clock.advance(5000)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    expect(kept).toBeUndefined()
    late.resolve([stored, another])
    await each.clock.advance(1000)
    expect(kept).toHaveLength(2)
    expect(kept).toContainEqual(another)
    // The key that the router already has stays.
    expect(kept?.find(({ endpoint }) => endpoint.port === 8080)?.key).not.toBe(stored.key)
    await end(each)
    expect(kept).toEqual([another])
    expect(each.clock.pending).toBe(0)
  })

  it('a store that is read only after the stop is left unchanged', async () => {
    const late = Promise.withResolvers<readonly Memory[]>()
    let saves = 0
    const each = withStore({
      load: () => late.promise,
      async save() {
        saves++
      }
    })
    void each.traversal.start()
    await each.clock.advance(5000)
    await end(each)
    late.resolve([another])
    await each.clock.advance(5000)
    expect(saves).toBe(0)
    expect(each.clock.pending).toBe(0)
  })

  it('a store that could not be written is written at the next change, or at the stop at the latest', async () => {
    let fails = true
    let kept: readonly Memory[] = []
    const each = withStore({
      load: async () => [another],
      async save(all) {
        if (fails) throw new Error('the disk is full')
        kept = all
      }
    })
    await begin(each)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    fails = false
    each.traversal.addEndpoint({ ...web, port: 8081 })
    await each.clock.advance(1500)
    expect(new Set(kept.map(({ endpoint }) => endpoint.port))).toEqual(new Set([8080, 8081, 9090]))
    fails = true
    await end(each)
    expect(kept).toHaveLength(3)
  })

  it('a store that could not be written is written at the stop', async () => {
    const inner = memoryStore()
    let failures = 1
    const each = withStore({
      load: inner.load,
      save: async (all) => (failures-- > 0 ? Promise.reject(new Error('the disk is full')) : inner.save(all))
    })
    await begin(each, 0)
    await end(each)
    expect(failures).toBeLessThan(0)
    expect(await inner.load()).toEqual([expect.objectContaining({ strategy: 'pcp', externalPort: 8080 })])
  })
})

it('the memory memories forgets routers that the host left long ago', async () => {
  const old = Array.from({ length: 1500 }, (_, index) => ({
    ...another,
    gateway: { address: `10.0.${index >> 8}.${index & 255}`, mac: null },
    endpoint: web,
    expiresAt: index < 10 ? null : 1
  }))
  const store = memoryStore(old)
  const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], { store })
  each.traversal.addEndpoint(web)
  await begin(each, 2000)
  const kept = await store.load()
  expect(kept).toHaveLength(1024)
  expect(kept.filter(({ expiresAt }) => expiresAt === null)).toHaveLength(10)
  await end(each)
})

describe('the quirks of a router', () => {
  const quirky =
    (quirks: readonly string[]) =>
    (lease: Lease): Lease => ({ ...lease, quirks })

  /** Runs once with a store, and returns the quirks that the strategy received first. */
  async function run(store: Store, quirks: readonly string[], name = 'pcp'): Promise<readonly string[] | undefined> {
    let strategy: Scripted | undefined
    const each = stage(
      (trace, clock) => [(strategy = scripted(name, trace, clock, { shape: quirky(quirks) })).strategy],
      { store }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 2000)
    await end(each)
    return strategy?.requests[0]?.quirks
  }

  it('quirks reach the strategy that reported them in the next run, after a clean stop too', async () => {
    const store = memoryStore()
    expect(await run(store, ['no-leases'])).toBeUndefined()
    expect(await run(store, ['no-leases'], 'upnp')).toBeUndefined()
    expect(await run(store, ['no-leases', 'slow'])).toEqual(['no-leases'])
    expect(await run(store, [])).toEqual(['no-leases', 'slow'])
    expect(await run(store, [])).toBeUndefined()
  })

  it('quirks stay in a note without a mapping and with another key', async () => {
    const store = memoryStore()
    await run(store, ['no-leases'])
    const [note] = await store.load()
    expect(note).toMatchObject({ strategy: 'pcp', externalPort: null, expiresAt: null, quirks: ['pcp:no-leases'] })
    expect(parseMemories(formatMemories(await store.load()))).toEqual(await store.load())
    await run(store, ['no-leases'])
    const notes = await store.load()
    expect(notes).toHaveLength(1)
    expect(notes[0]?.key).not.toBe(note?.key)
  })

  it('quirks are kept only if they are words, and for at most 32 routers', async () => {
    const words = Array.from({ length: 20 }, (_, index) => `word-${index}`)
    const store = memoryStore()
    await run(store, ['not a word', '../../x', 'x'.repeat(41), ...words])
    expect((await store.load())[0]?.quirks).toEqual(words.slice(0, 8).map((word) => `pcp:${word}`))
    const many = Array.from({ length: 50 }, (_, index) => ({
      ...another,
      gateway: { address: `10.0.0.${index + 1}`, mac: null },
      externalPort: null,
      quirks: ['pcp:slow']
    }))
    const full = memoryStore(many)
    await run(full, ['slow'])
    expect(await full.load()).toHaveLength(32)
  })
})
