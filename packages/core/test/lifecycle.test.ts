import type { Lease, Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { memoryStore, type Store } from '../src/index.js'
import { begin, end, home, router, scripted, stage, web, witnesses } from './support.js'

describe('start and stop', () => {
  it('the last of several starts and stops decides, however close together they come', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint(web)
    const calls = [each.traversal.start(), each.traversal.stop(), each.traversal.start()]
    await each.clock.advance(1500)
    await Promise.all(calls)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    const more = [each.traversal.stop(), each.traversal.start(), each.traversal.stop()]
    await end(each)
    await Promise.all(more)
    expect(each.told().at(-1)).toBe('released pcp 11.0.0.2:8080')
    expect(each.traversal.report().externalAddresses).toEqual([])
    expect(each.clock.pending).toBe(0)
  })

  it('start and stop do not wait for a store that hangs', async () => {
    const hangs: Store = { load: () => new Promise(() => undefined), save: () => new Promise(() => undefined) }
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], { store: hangs })
    each.traversal.addEndpoint(web)
    const started = each.traversal.start()
    await each.clock.advance(100)
    await end(each)
    await started
    expect(each.trace).toEqual([])
    expect(each.clock.pending).toBe(0)
  })

  it('stop does not wait for a store that hangs only when it saves', async () => {
    const store: Store = { load: async () => [], save: () => new Promise(() => undefined) }
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], { store })
    each.traversal.addEndpoint(web)
    await begin(each, 1000)
    await end(each)
    // The request waits for the store for a while, so that a run after a crash knows of it.
    expect(each.trace).toEqual([])
    expect(each.clock.pending).toBe(0)
  })

  it('firstPass resolves at a stop before the first pass has ended', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { takesMs: 1e9 }).strategy])
    await each.traversal.settled()
    each.traversal.addEndpoint(web)
    await begin(each, 10)
    const pass = each.traversal.settled()
    await end(each)
    await pass
  })
})

describe('while it stops', () => {
  const elsewhere = { gateways: [{ ...router, localAddress: '192.168.1.9' }], addresses: ['192.168.1.9'] }

  it('a new network starts nothing during a stop', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    const stopped = each.traversal.stop()
    each.traversal.setNetwork(elsewhere)
    await Promise.resolve()
    each.traversal.setNetwork(home)
    await end(each)
    await stopped
    expect(each.clock.pending).toBe(0)
    expect(each.trace).toEqual(['map pcp 8080', 'release pcp 8080'])
  })

  it('an endpoint that is wanted during a stop waits for the next start', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    const stopped = each.traversal.stop()
    each.traversal.addEndpoint({ ...web, port: 9090 })
    await end(each)
    await stopped
    expect(each.trace).toEqual(['map pcp 8080', 'release pcp 8080'])
    await begin(each)
    expect(each.told().slice(2)).toEqual(['mapped pcp 11.0.0.2:8080', 'mapped pcp 11.0.0.2:9090'])
    await end(each)
  })

  it('a release that hangs delays the stop by no more than the policy says, and a second for the strategy to finish', async () => {
    const deaf = (lease: Lease): Lease => ({ ...lease, release: () => new Promise(() => undefined) })
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { shape: deaf }).strategy])
    for (let port = 9000; port < 9020; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each)
    const before = each.clock.monotonicMs()
    await end(each)
    expect(each.clock.monotonicMs() - before).toBeLessThanOrEqual(3100)
    expect(each.told().filter((line) => line.startsWith('failed'))).toHaveLength(20)
    expect(each.clock.pending).toBe(0)
  })

  it('an endpoint that is no longer wanted delays the stop no longer than the others', async () => {
    const slow = (lease: Lease): Lease => ({ ...lease, release: () => new Promise(() => undefined) })
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { shape: slow }).strategy])
    const unwanted = new AbortController()
    for (let port = 9000; port < 9020; port++) each.traversal.addEndpoint({ ...web, port }, unwanted)
    await begin(each)
    unwanted.abort()
    await each.clock.advance(100)
    const before = each.clock.monotonicMs()
    await end(each)
    expect(each.clock.monotonicMs() - before).toBeLessThanOrEqual(3100)
    expect(each.clock.pending).toBe(0)
  })

  it('stop waits for a witness that is being asked', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      witnesses({ a: 'silent', b: 'silent' }, clock)
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('stop waits for the check of an address, but only for a limited time', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], {
      checkExternalAddress: () => new Promise(() => undefined)
    })
    each.traversal.addEndpoint(web)
    await begin(each, 100)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })
})

describe('a network that flaps', () => {
  /** A strategy that counts its discoveries. */
  const counting =
    (calls: number[], inner: Strategy): Strategy =>
    (host) => {
      const discovery = inner(host)
      return {
        ...discovery,
        discover(network, found, call) {
          calls.push(host.clock.monotonicMs())
          return discovery.discover(network, found, call)
        }
      }
    }

  it('a flapping network is searched at most once in 500 ms, and its last state counts', async () => {
    const calls: number[] = []
    const each = stage((trace, clock) => [counting(calls, scripted('pcp', trace, clock).strategy)])
    each.traversal.addEndpoint(web)
    await begin(each)
    for (let count = 0; count < 1000; count++) {
      each.traversal.setNetwork({ gateways: [router], addresses: ['192.168.1.2', `192.168.1.${3 + (count % 200)}`] })
      await each.clock.advance(10)
    }
    each.traversal.setNetwork({ gateways: [router], addresses: ['192.168.1.2', '192.168.1.250'] })
    await each.clock.advance(1000)
    expect(calls.length).toBeLessThanOrEqual(23)
    for (const [index, at] of calls.slice(1).entries()) expect(at - (calls[index] ?? 0)).toBeGreaterThanOrEqual(500)
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    // The lease was valid all the time, and was not given up.
    expect(each.told().filter((line) => line.startsWith('lost'))).toEqual([])
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a network that has just come up is searched at once', async () => {
    const calls: number[] = []
    const each = stage((trace, clock) => [counting(calls, scripted('pcp', trace, clock).strategy)], {
      network: { gateways: [], addresses: [] }
    })
    each.traversal.addEndpoint(web)
    await begin(each, 100)
    each.traversal.setNetwork(home)
    await each.clock.advance(10)
    expect(calls).toEqual([0, 100])
    await end(each)
  })

  it('a flapping network does not make the ladder forget a router restart', async () => {
    const clock = virtualClock()
    const trace: string[] = []
    const pcp = scripted('pcp', trace, clock)
    const each = stage(() => [pcp.strategy], { clock, random: () => 0.999 })
    each.traversal.addEndpoint(web)
    await begin(each)
    trace.length = 0
    pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await clock.advance(100)
    each.traversal.setNetwork({ ...home, addresses: ['192.168.1.2', '192.168.1.3'] })
    await clock.advance(6000)
    expect(trace).toContain('renew pcp 8080')
    await end(each)
  })
})

describe('many wants of one signal', () => {
  it('all wants of one signal are released together, and the store is empty then', async () => {
    const store = memoryStore()
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], { store })
    const unwanted = new AbortController()
    for (let port = 9000; port < 9050; port++) each.traversal.addEndpoint({ ...web, port }, unwanted)
    await begin(each)
    unwanted.abort()
    await each.clock.advance(1000)
    expect(each.told().filter((line) => line.startsWith('released'))).toHaveLength(50)
    await end(each)
    expect(await store.load()).toEqual([])
  })
})
