import {
  type Forwarder,
  type ForwardLease,
  type ForwardRequest,
  type NatError,
  natError,
  type Strategy
} from '@postern/interface'
import type { VirtualClock } from '@postern/testkit'
import { describe, expect, it, vi } from 'vitest'
import { recordMetrics } from '../../src/index.js'
import {
  absent,
  begin,
  end,
  home,
  keepingSink,
  party,
  router,
  type Stage,
  scripted,
  stage,
  web,
  witnesses
} from '../support.js'

/** A server that lends its ports, as its methods say. */
interface Server {
  readonly strategy: Strategy
  readonly requests: readonly ForwardRequest[]
  /** The ports that it lends now. */
  readonly lent: ReadonlySet<number>
  /** Ends every lease, as a cut connection does. */
  cut(): void
  /** What it refuses with; undefined to lend. */
  refusal: NatError | undefined
  /** What a renewal fails with. */
  trouble: NatError | undefined
}

interface ServerOptions {
  readonly id?: string
  readonly address?: string
  readonly network?: string
  readonly takesMs?: number
  readonly lifetimeMs?: number
  readonly count?: number
  readonly isEncrypted?: boolean
  /** Returns the port that is lent for a suggested one. */
  readonly lends?: (suggested: number, count: number) => number
}

function server(clock: VirtualClock, options: ServerOptions = {}): Server {
  const { id = 'vps:22', network = '21.0.0.0/16', takesMs = 50, lifetimeMs = Number.POSITIVE_INFINITY } = options
  const { address = '21.0.0.1', isEncrypted = true, lends = (suggested: number) => suggested, count } = options
  const requests: ForwardRequest[] = []
  const lent = new Set<number>()
  let connection = new AbortController()
  let grants = 0

  function leaseOf(wanted: number, port: number): ForwardLease {
    lent.add(port)
    return {
      addresses: [`/ip4/${address}/tcp/${port}`],
      lifetimeMs,
      ended: connection.signal,
      async renew(call) {
        await clock.sleep(takesMs, call)
        if (result.trouble !== undefined) throw result.trouble
        const next = lends(wanted, ++grants)
        if (next !== port) lent.delete(port)
        return leaseOf(wanted, next)
      },
      async release(call) {
        await clock.sleep(takesMs, call)
        lent.delete(port)
      }
    }
  }
  const forwarder: Forwarder = {
    kind: 'forwarder',
    party: party(id, network),
    protocols: ['tcp'],
    isEncrypted,
    tellsClients: isEncrypted,
    async forward(request, call) {
      requests.push(request)
      await clock.sleep(takesMs, call)
      if (result.refusal !== undefined) throw result.refusal
      const { suggestedExternalPort } = request
      return leaseOf(suggestedExternalPort, lends(suggestedExternalPort, ++grants))
    }
  }
  const result: Server = {
    requests,
    lent,
    refusal: undefined,
    trouble: undefined,
    cut() {
      lent.clear()
      connection.abort(natError('UNREACHABLE', 'the connection to the server ended'))
      connection = new AbortController()
    },
    strategy: () => ({
      name: 'ssh',
      kind: 'forwarder',
      ...(count === undefined ? {} : { count }),
      async discover(_network, found, call) {
        found(forwarder)
        await clock.sleep(1e12, call).catch(() => undefined)
      }
    })
  }
  return result
}

/** Starts a traversal with one server, and other strategies before it. */
async function withServer(
  options: ServerOptions = {},
  others: (clock: VirtualClock, trace: string[]) => readonly Strategy[] = () => [],
  policy: Parameters<typeof stage>[1] = {}
): Promise<Stage & { readonly vps: Server }> {
  let vps: Server | undefined
  const built = stage((trace, clock) => {
    vps = server(clock, options)
    return [...others(clock, trace), vps.strategy]
  }, policy)
  if (vps === undefined) throw new Error('no server')
  built.traversal.addEndpoint(web)
  await begin(built)
  return { ...built, vps }
}

describe('the numbers of a port of another host', () => {
  it('each port is a grant, and a connection that ends a lapse with its code', async () => {
    const sink = keepingSink()
    let vps: Server | undefined
    const all = stage((_, clock) => {
      vps = server(clock)
      return [vps.strategy]
    })
    recordMetrics(all.traversal, sink)
    all.traversal.addEndpoint(web)
    await begin(all)
    expect(sink.gauge('leases')).toEqual({ ssh: 1 })
    vps?.cut()
    await all.clock.advance(10)
    expect(sink.total('lapses', { 'postern.strategy': 'ssh', 'error.type': 'UNREACHABLE' })).toBe(1)
    await all.clock.advance(3000)
    expect(sink.total('grants', { 'postern.strategy': 'ssh' })).toBe(2)
    expect(sink.total('requestDuration', { 'postern.verb': 'forward', 'postern.outcome': 'success' })).toBe(2)
    await end(all)
    expect(sink.gauge('leases')).toEqual({})
    expect(sink.total('lapses')).toBe(1)
  })
})

describe('a port of another host', () => {
  it('is taken for the endpoint, and gives the verdict relayed', async () => {
    const all = await withServer({}, (clock) => [absent('pcp', clock)])
    expect(all.vps.requests).toEqual([
      { endpoint: { protocol: 'tcp', family: 4, address: '127.0.0.1', port: 8080 }, suggestedExternalPort: 8080 }
    ])
    expect(all.told()).toContain('mapped ssh 21.0.0.1:8080')
    const report = all.traversal.report()
    expect(report.verdict).toBe('relayed')
    expect(report.externalAddresses).toEqual(['/ip4/21.0.0.1/tcp/8080'])
    expect(report.candidates).toContainEqual({
      address: '/ip4/21.0.0.1/tcp/8080',
      type: 'relayed',
      strategy: 'ssh',
      endpoint: { protocol: 'tcp', address: '127.0.0.1', port: 8080 },
      state: 'consistent',
      expiresAt: null,
      evidence: [],
      relay: { party: 'vps:22', network: '21.0.0.0/16', isEncrypted: true, tellsClients: true }
    })
    expect(report.strategies.at(-1)).toMatchObject({ name: 'ssh', kind: 'forwarder', state: 'active', reason: null })
    await end(all)
    expect(all.vps.lent.size).toBe(0)
    expect(all.told()).toContain('released ssh 21.0.0.1:8080')
  })

  it('is asked for in parallel to a slow router', async () => {
    const all = await withServer({}, (clock, trace) => [scripted('pcp', trace, clock, { takesMs: 20_000 }).strategy])
    expect(all.told()).toEqual(['mapped ssh 21.0.0.1:8080'])
    await end(all)
  })

  it('never gives the verdict public, and a router that maps does not end it without proof', async () => {
    const all = await withServer({}, (clock, trace) => [scripted('pcp', trace, clock).strategy])
    await all.clock.advance(600_000)
    expect(all.traversal.report().verdict).toBe('public')
    expect(all.vps.lent).toEqual(new Set([8080]))
    await end(all)
  })

  it('is given back a minute after the direct address is verified', async () => {
    const all = await withServer({}, (clock, trace) => [
      scripted('pcp', trace, clock).strategy,
      witnesses({ a: 'reachable', b: 'reachable' }, clock)
    ])
    await all.clock.advance(50_000)
    expect(all.vps.lent).toEqual(new Set([8080]))
    await all.clock.advance(30_000)
    expect(all.traversal.report().verdict).toBe('public')
    expect(all.vps.lent.size).toBe(0)
    expect(all.told()).toContain('released ssh 21.0.0.1:8080')
    await end(all)
  })

  it('is kept for ever if the policy says so', async () => {
    const all = await withServer(
      {},
      (clock, trace) => [scripted('pcp', trace, clock).strategy, witnesses({ a: 'reachable', b: 'reachable' }, clock)],
      { policy: { relay: { releaseAfterPublicMs: Number.POSITIVE_INFINITY } } }
    )
    await all.clock.advance(3_600_000)
    expect(all.vps.lent).toEqual(new Set([8080]))
    await end(all)
  })

  it('is taken again at once after a cut, at the same port', async () => {
    const all = await withServer({ lends: (suggested, count) => (count === 1 ? 41_234 : suggested) })
    expect(all.told()).toEqual(['mapped ssh 21.0.0.1:41234'])
    await all.clock.advance(60_000)
    all.vps.cut()
    await all.clock.advance(200)
    expect(all.told().slice(1)).toEqual(['lost ssh 21.0.0.1:41234', 'mapped ssh 21.0.0.1:41234'])
    expect(all.events.find(({ event }) => event === 'lost')?.reasons).toMatchObject([{ code: 'UNREACHABLE' }])
    await end(all)
  })

  it('at an address that only its own network reaches is not the verdict relayed, and the advice says so', async () => {
    const all = await withServer({ address: '10.8.0.1' })
    await all.clock.advance(20_000)
    expect(all.told()).toEqual(['mapped ssh 10.8.0.1:8080'])
    const { verdict, candidates, advice } = all.traversal.report()
    expect(verdict).toBe('private')
    expect(candidates.filter(({ type }) => type === 'relayed')).toMatchObject([{ state: 'claimed' }])
    expect(advice).toContain(
      'Name vps:22 by its public address: ssh lends a port at 10.8.0.1, which the internet cannot reach.'
    )
    await end(all)
  })

  it('does not count once it is lost, although it is still being given back', async () => {
    const all = await withServer({ takesMs: 1000 })
    await all.clock.advance(10_000)
    const verdicts: string[] = []
    all.traversal.addEventListener('verdict', ({ detail }) => void verdicts.push(detail.verdict))
    all.vps.refusal = natError('UNREACHABLE', 'no route')
    all.vps.cut()
    await all.clock.advance(500)
    expect(all.traversal.report()).toMatchObject({ externalAddresses: [] })
    expect(verdicts).toEqual([expect.stringMatching(/unknown|private/)])
    await end(all)
  })

  it('is asked for within 2 s of the end of a long outage', async () => {
    const all = await withServer()
    await all.clock.advance(60_000)
    all.vps.refusal = natError('UNREACHABLE', 'no route')
    all.vps.cut()
    await all.clock.advance(3_600_000)
    expect(all.traversal.report().verdict).not.toBe('relayed')
    const asked = all.vps.requests.length
    expect(asked).toBeLessThan(1900)
    all.vps.refusal = undefined
    await all.clock.advance(2100)
    expect(all.vps.requests.length).toBe(asked + 1)
    expect(all.traversal.report().verdict).toBe('relayed')
    await end(all)
  })

  it('is not asked for every few seconds by a host that the server locks out', async () => {
    const all = await withServer()
    await end(all)
    const refused = await withServer({}, () => [], {})
    refused.vps.refusal = natError('NOT_AUTHORIZED', 'no key is accepted')
    refused.vps.cut()
    await refused.clock.advance(3_600_000)
    expect(refused.vps.requests.length).toBeLessThan(10)
    expect(refused.told().at(-1)).toMatch(/^failed/)
    await end(refused)
  })

  it('is asked for every two seconds for some minutes while another program has it, and then every five minutes', async () => {
    const all = await withServer()
    await all.clock.advance(60_000)
    all.vps.refusal = natError('CONFLICT', 'the port is in use')
    all.vps.cut()
    await all.clock.advance(120_000)
    const asked = all.vps.requests.length
    expect(asked).toBeGreaterThan(50)
    await all.clock.advance(3_600_000)
    expect(all.vps.requests.length - asked).toBeLessThan(30)
    all.vps.refusal = undefined
    await all.clock.advance(300_000)
    expect(all.traversal.report().verdict).toBe('relayed')
    await end(all)
  })

  it('moves to the wanted port once that is free', async () => {
    const all = await withServer({ lifetimeMs: 60_000, lends: (suggested, count) => (count < 3 ? 41_234 : suggested) })
    await all.clock.advance(120_000)
    expect(all.told().slice(0, 3)).toEqual([
      'mapped ssh 21.0.0.1:41234',
      'renewed ssh 21.0.0.1:41234',
      'changed ssh 21.0.0.1:8080'
    ])
    expect(all.traversal.report().externalAddresses).toEqual(['/ip4/21.0.0.1/tcp/8080'])
    await end(all)
    expect(all.vps.lent.size).toBe(0)
  })

  it('is watched by one listener, however often it is renewed', async () => {
    const all = await withServer({ lifetimeMs: 60_000 })
    const added = vi.spyOn(AbortSignal.prototype, 'addEventListener')
    const removed = { count: 0 }
    await all.clock.advance(3_600_000)
    for (const [, , options] of added.mock.calls)
      if (typeof options === 'object' && options?.signal?.aborted === true) removed.count += 1
    const watching = added.mock.calls.filter(
      ([, , options]) => typeof options === 'object' && options?.signal !== undefined
    )
    expect(watching.length).toBeGreaterThan(50)
    expect(watching.length - removed.count).toBeLessThan(3)
    added.mockRestore()
    await end(all)
  })

  it('is lost when a check shows that it leads elsewhere', async () => {
    const all = await withServer()
    all.vps.trouble = natError('MAPPING_LOST', 'another program has the port')
    await all.clock.advance(30 * 60_000)
    expect(all.told().slice(0, 3)).toContain('lost ssh 21.0.0.1:8080')
    await end(all)
  })

  it('is checked when the network changes', async () => {
    const all = await withServer()
    await all.clock.advance(60_000)
    const before = all.told().length
    all.traversal.setNetwork({ ...home, gateways: [{ ...router, address: '10.0.0.1', localAddress: '10.0.0.2' }] })
    await all.clock.advance(2000)
    expect(all.told().slice(before)).toEqual(['renewed ssh 21.0.0.1:8080'])
    await end(all)
  })

  it('carries to a listener that only this host can reach', async () => {
    const built = stage((_trace, clock) => [server(clock).strategy])
    built.traversal.addEndpoint({ ...web, address: '127.0.0.1' })
    await begin(built)
    expect(built.told()).toEqual(['mapped ssh 21.0.0.1:8080'])
    expect(built.traversal.report().verdict).toBe('relayed')
    await end(built)
  })

  it('is one for a listener on both families', async () => {
    const built = stage((_trace, clock) => [server(clock).strategy])
    built.traversal.addEndpoint({ ...web, family: 6, address: '::' })
    built.traversal.addEndpoint(web)
    await begin(built)
    expect(built.told()).toEqual(['mapped ssh 21.0.0.1:8080'])
    await end(built)
  })

  it('is held at no more servers than the user or the policy says', async () => {
    const build = async (count?: number): Promise<number> => {
      const options = count === undefined ? {} : { count }
      const built = stage((_trace, clock) => [
        server(clock, { ...options, id: 'a', network: '21.0.0.0/16' }).strategy,
        server(clock, { ...options, id: 'b', network: '31.0.0.0/16' }).strategy,
        server(clock, { ...options, id: 'c', network: '41.0.0.0/16' }).strategy
      ])
      built.traversal.addEndpoint(web)
      await begin(built, 20_000)
      const mapped = built.told().filter((text) => text.startsWith('mapped')).length
      await end(built)
      return mapped
    }
    expect(await build()).toBe(2)
    expect(await build(1)).toBe(1)
    expect(await build(3)).toBe(3)
  })

  it('says what it does not do for a connection', async () => {
    const all = await withServer({ isEncrypted: false })
    expect(all.traversal.report().advice).toContainEqual(expect.stringMatching(/vps:22.*not encrypted.*loopback/))
    await end(all)
  })

  it('is not counted while it is still asked for, and is waited for', async () => {
    const all = await withServer({ takesMs: 5000 }, (clock) => [absent('pcp', clock, 'NO_SERVICE')])
    expect(all.traversal.report()).toMatchObject({ verdict: 'unknown' })
    expect(all.traversal.report().strategies.at(-1)).toMatchObject({ name: 'ssh', waitingFor: 'grant' })
    await all.clock.advance(5000)
    expect(all.traversal.report().verdict).toBe('relayed')
    await end(all)
  })

  it('is given back when it is lent after the stop', async () => {
    const all = await withServer({ takesMs: 3000 })
    const stopped = end(all)
    await stopped
    await all.clock.advance(20_000)
    expect(all.vps.lent.size).toBe(0)
  })

  it('tells why there is none', async () => {
    const all = await withServer()
    all.vps.refusal = natError('UNTRUSTED_REPLY', 'the key of the server has changed')
    all.vps.cut()
    await all.clock.advance(10_000)
    expect(all.events.at(-1)).toMatchObject({
      event: 'failed',
      reasons: [{ strategy: 'ssh', code: 'UNTRUSTED_REPLY', message: 'the key of the server has changed' }]
    })
    expect(all.traversal.report().verdict).not.toBe('relayed')
    expect(all.traversal.report().advice).toContain(
      'ssh has no port of the other host: the key of the server has changed.'
    )
    await end(all)
  })
})

describe('the first pass', () => {
  const settledAfter = async (takesMs: number): Promise<number | undefined> => {
    const built = stage((_trace, clock) => [server(clock, { takesMs }).strategy])
    built.traversal.addEndpoint(web)
    await built.traversal.start()
    let atMs: number | undefined
    void built.traversal.settled().then(() => {
      atMs = built.clock.monotonicMs()
    })
    const began = built.clock.monotonicMs()
    await built.clock.advance(1500)
    await end(built)
    return atMs === undefined ? undefined : atMs - began
  }

  it('waits for the port of another host, but not longer than for a router', async () => {
    const ms = await settledAfter(300)
    expect(ms).toBeGreaterThanOrEqual(300)
    expect(ms).toBeLessThan(450)
    expect(await settledAfter(5000)).toBeLessThanOrEqual(1050)
  })

  it('does not wait for it where a router maps', async () => {
    const built = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      server(clock, { takesMs: 800 }).strategy
    ])
    built.traversal.addEndpoint(web)
    await built.traversal.start()
    let isSettled = false
    void built.traversal.settled().then(() => {
      isSettled = true
    })
    await built.clock.advance(300)
    expect(isSettled).toBe(true)
    await end(built)
  })
})

describe('a forwarder of TCP', () => {
  it('keeps no verdict about a UDP port open', async () => {
    const built = stage((_trace, clock) => [absent('pcp', clock, 'NO_SERVICE'), server(clock).strategy])
    built.traversal.addEndpoint({ ...web, protocol: 'udp' })
    await begin(built)
    expect(built.traversal.report()).toMatchObject({ verdict: 'private', cause: 'no-mapping-service' })
    await end(built)
  })
})
