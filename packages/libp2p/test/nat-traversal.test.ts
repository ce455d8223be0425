import type { AddressManager, TransportManager } from '@libp2p/interface-internal'
import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { relay } from '@postern/relay'
import { virtualClock } from '@postern/testkit'
import { MemoryDatastore } from 'datastore-core'
import { Key } from 'interface-datastore'
import { createLibp2p } from 'libp2p'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { natTraversal } from '../src/index.js'
import { announced, createNode, pass, scriptedRouter, scriptedWitnesses, type TestNode } from './support/scripted.js'

const hourMs = 3_600_000

/** The components of a node, which only services receive. */
const componentsOf = (
  node: TestNode
): { readonly transportManager: TransportManager; readonly addressManager: AddressManager } =>
  (node as unknown as { readonly components: ReturnType<typeof componentsOf> }).components

/** Returns the port that the node listens on. */
const portOf = (addresses: readonly { toString(): string }[]): string =>
  /\/tcp\/(\d+)/.exec(String(addresses[0]))?.[1] ?? ''

describe('a node that runs for a day', () => {
  it('a node renews and verifies for a day, and withdraws an address as soon as it lapses', async () => {
    const clock = virtualClock()
    const router = scriptedRouter()
    const asked = { count: 0 }
    const node = await createNode(clock, { strategies: [router.strategy, scriptedWitnesses(asked)] })
    await node.start()
    await pass(clock, 2000)
    const address = `/ip4/11.0.0.2/tcp/${portOf(node.getMultiaddrs())}`
    expect(announced(node)).toEqual([address])

    for (let hour = 0; hour < 24; hour++) {
      await pass(clock, hourMs)
      expect(announced(node)).toEqual([address])
    }
    expect(router.renewals).toBeGreaterThanOrEqual(24)
    // Two witnesses are asked at least once per hour.
    expect(asked.count).toBeGreaterThanOrEqual(2 * 24)

    router.isThere = false
    await pass(clock, 2 * hourMs)
    expect(announced(node)).toEqual([])
    expect(node.services.nat.report()).toMatchObject({ verdict: 'private', externalAddresses: [] })

    router.isThere = true
    await pass(clock, 600_000)
    expect(announced(node)).toEqual([address])
    await node.stop()
    expect(router.mapped.size).toBe(0)
    expect(clock.pending).toBe(0)
  })
})

describe('the announced addresses', () => {
  it('an address is withdrawn when witnesses refute it, and announced again when they reach it', async () => {
    const clock = virtualClock()
    const router = scriptedRouter()
    let outcome: 'reachable' | 'unreachable' = 'reachable'
    const node = await createNode(clock, {
      strategies: [router.strategy, scriptedWitnesses({ count: 0 }, () => outcome)]
    })
    await node.start()
    await pass(clock, 2000)
    expect(announced(node)).toHaveLength(1)
    outcome = 'unreachable'
    await pass(clock, hourMs, 60_000)
    expect(announced(node)).toEqual([])
    outcome = 'reachable'
    await pass(clock, hourMs, 60_000)
    expect(announced(node)).toHaveLength(1)
    await node.stop()
  })

  it('the announced addresses follow the listeners', async () => {
    const clock = virtualClock()
    const router = scriptedRouter()
    const node = await createNode(clock, { strategies: [router.strategy, scriptedWitnesses({ count: 0 })] })
    await node.start()
    await pass(clock, 2000)
    const { transportManager } = componentsOf(node)
    const before = new Set(transportManager.getListeners())
    await transportManager.listen([multiaddr('/ip4/127.0.0.1/tcp/0')])
    await pass(clock, 2000)
    expect(announced(node)).toHaveLength(2)
    await transportManager
      .getListeners()
      .find((listener) => !before.has(listener))
      ?.close()
    // The listener emits its event asynchronously.
    await expect.poll(async () => (await pass(clock, 1000), router.mapped.size)).toBe(1)
    expect(announced(node)).toHaveLength(1)
    await node.stop()
  })

  it('the AutoNAT service of the node decides about addresses without a witness strategy', async () => {
    const clock = virtualClock()
    const node = await createNode(clock, { strategies: [scriptedRouter().strategy] })
    await node.start()
    await pass(clock, 2000)
    expect(announced(node)).toEqual([])
    const { addressManager } = componentsOf(node)
    const mapped = addressManager.getAddressesWithMetadata().filter(({ type }) => type === 'ip-mapping')
    expect(mapped).toMatchObject([{ verified: false }])
    addressManager.confirmObservedAddr(mapped[0]?.multiaddr ?? multiaddr('/ip4/11.0.0.2/tcp/1'))
    expect(announced(node)).toHaveLength(1)
    await node.stop()
  })

  it('a hundred listeners get one mapping each, and no witness is asked more than four times per minute', async () => {
    const clock = virtualClock()
    const router = scriptedRouter()
    const asked = { count: 0 }
    const node = await createNode(
      clock,
      { strategies: [router.strategy, scriptedWitnesses(asked)] },
      { listen: Array.from({ length: 100 }, () => '/ip4/127.0.0.1/tcp/0') }
    )
    await node.start()
    await pass(clock, 60_000, 1000)
    expect(router.mapped.size).toBe(100)
    expect(asked.count).toBeLessThanOrEqual(2 * 4)
    await pass(clock, hourMs, 10_000)
    expect(announced(node)).toHaveLength(100)
    expect(asked.count).toBeLessThanOrEqual(2 * 4 * 61)
    await node.stop()
    expect(router.mapped.size).toBe(0)
  })
})

describe('the stored mappings', () => {
  it('the next run after a kill uses the key from the datastore', async () => {
    const key = new Key('/postern/memory')
    const left = new MemoryDatastore()
    const keys: string[] = []
    for (const datastore of [new MemoryDatastore(), left]) {
      const clock = virtualClock()
      const router = scriptedRouter()
      const node = await createNode(
        clock,
        { strategies: [router.strategy] },
        { datastore, listen: ['/ip4/127.0.0.1/tcp/45671'] }
      )
      await node.start()
      await pass(clock, 2000)
      keys.push(...router.keys)
      // The state that a kill would leave behind.
      if (datastore !== left) await left.put(key, await datastore.get(key))
      await node.stop()
    }
    expect(keys).toHaveLength(2)
    expect(keys[1]).toBe(keys[0])
  })

  it('a damaged store counts as empty', async () => {
    const datastore = new MemoryDatastore()
    await datastore.put(new Key('/postern/memory'), new TextEncoder().encode('{"format":1,"memories":[{}]}'))
    const clock = virtualClock()
    const router = scriptedRouter()
    const node = await createNode(clock, { strategies: [router.strategy] }, { datastore })
    await node.start()
    await pass(clock, 2000)
    expect(router.mapped.size).toBe(1)
    await node.stop()
  })
})

describe('a node without the required services', () => {
  it('a node without circuitRelayTransport() is rejected with a TypeError', async () => {
    await expect(
      createLibp2p({ transports: [tcp()], services: { nat: natTraversal({ strategies: [relay()] }) } })
    ).rejects.toThrow(
      new TypeError('relay() needs circuitRelayTransport() of @libp2p/circuit-relay-v2 among the transports')
    )
  })

  it('a node without identify() is rejected with a TypeError', async () => {
    await expect(
      createLibp2p({
        transports: [tcp()],
        services: { nat: natTraversal({ strategies: [scriptedWitnesses({ count: 0 })] }) }
      })
    ).rejects.toThrow(/needs identify\(\)/)
  })
})

describe('metrics', () => {
  it('the metrics contain verdict, candidates and events', async () => {
    const clock = virtualClock()
    const registry = new Registry()
    const node = await createNode(
      clock,
      { strategies: [scriptedRouter().strategy, scriptedWitnesses({ count: 0 })] },
      { metrics: prometheusMetrics({ registry, collectDefaultMetrics: false }) }
    )
    await node.start()
    await pass(clock, 2000)
    const text = await registry.metrics()
    expect(text).toContain('postern_reachability_verdict{postern_verdict="public"} 1\n')
    expect(text).toContain('postern_reachability_verdict{postern_verdict="relayed"} 0\n')
    expect(text).toContain('postern_candidate_count{type_state="mapped/verified"} 1\n')
    expect(text).toContain('postern_candidate_count{type_state="mapped/consistent"} 0\n')
    expect(text).toContain('postern_mapping_events_total{postern_event="mapped"} 1\n')
    expect(text).toContain('postern_lease_count{postern_strategy="pcp"} 1\n')
    expect(text).toContain(
      'postern_strategy_request_duration_seconds_count{strategy_verb_outcome_type="pcp/map/success/"} 1\n'
    )
    expect(text).toContain(
      'postern_strategy_request_duration_seconds_bucket{le="60",strategy_verb_outcome_type="pcp/map/success/"} 1\n'
    )
    await node.stop()
    const after = await registry.metrics()
    expect(after).toContain('postern_mapping_events_total{postern_event="released"} 1\n')
    expect(after).toContain('postern_reachability_verdict{postern_verdict="public"} 0\n')
    expect(after).not.toMatch(/^postern_(?:reachability_verdict|lease_count|candidate_count)\{.*\} [1-9]/m)
  })

  it('the sink of the option gets the numbers in place of the metrics of the node', async () => {
    const clock = virtualClock()
    const registry = new Registry()
    const names: string[] = []
    let gauges = 0
    const node = await createNode(
      clock,
      {
        strategies: [scriptedRouter().strategy, scriptedWitnesses({ count: 0 })],
        metrics: {
          record: ({ name }) => void names.push(name),
          observe() {
            gauges++
            return () => {
              gauges--
            }
          }
        }
      },
      { metrics: prometheusMetrics({ registry, collectDefaultMetrics: false }) }
    )
    await node.start()
    await pass(clock, 2000)
    expect(names.filter((name) => name === 'postern.witness.votes')).toHaveLength(2)
    expect(gauges).toBe(3)
    expect(await registry.metrics()).not.toContain('postern_')
    await node.stop()
    expect(gauges).toBe(0)
  })

  it('natTraversal rejects metrics that are no sink', async () => {
    const metrics = { record: () => undefined } as never
    await expect(createNode(virtualClock(), { strategies: [], metrics })).rejects.toThrow(
      'metrics has no record() and observe()'
    )
  })
})

describe('a network that cannot be read', () => {
  it('the report contains an unreadable network until it can be read', async () => {
    const clock = virtualClock()
    let fails = true
    const node = await createNode(clock, {
      strategies: [],
      findNetwork: async () => {
        if (fails) throw new Error('spawn netstat ENOENT')
        return { gateways: [], addresses: [] }
      }
    })
    await node.start()
    await pass(clock, 2000)
    const sentence = 'The network of this machine is not known: spawn netstat ENOENT.'
    expect(node.services.nat.report().advice).toContain(sentence)
    fails = false
    await pass(clock, 4000)
    expect(node.services.nat.report().advice).not.toContain(sentence)
    await node.stop()
  })
})
