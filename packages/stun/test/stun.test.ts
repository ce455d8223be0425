import type { Finding, Observer } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { parseServer, type StunOptions, stun } from '../src/index.js'
import { fakeServer } from './fake-server.js'
import { alpha, alphaOther, bravo, call, outcome, plainNat, type Scene, scene } from './scene.js'

describe('a server', () => {
  it.each([
    ['stun.example.org', 'stun.example.org', 3478],
    ['stun.example.org:19302', 'stun.example.org', 19_302],
    ['stun:stun.example.org', 'stun.example.org', 3478],
    ['STUN:stun.example.org:1', 'stun.example.org', 1],
    ['localhost', 'localhost', 3478],
    ['203.0.113.1', '203.0.113.1', 3478],
    ['stun:203.0.113.1:3479', '203.0.113.1', 3479],
    ['2001:db8::1', '2001:db8::1', 3478],
    ['stun:[2001:db8::1]:3479', '2001:db8::1', 3479]
  ])('parseServer parses %s', (text, host, port) => {
    expect(parseServer(text)).toEqual({ host, port })
  })

  it.each([
    '',
    'stun:',
    'stuns:stun.example.org',
    'turn:stun.example.org',
    'stun://stun.example.org',
    'a:0',
    'a:65536',
    'a:b',
    '300.1.1.1',
    '010.0.0.1',
    '[203.0.113.1]',
    '[::1',
    'a b',
    'user@a',
    'a/b',
    'a?transport=udp',
    '-a',
    'a..b'
  ])('parseServer rejects %s', (text) => {
    expect(() => parseServer(text)).toThrow(TypeError)
  })

  it('stun throws a TypeError for invalid servers and other options', () => {
    expect(() => stun({ servers: ['a b'] })).toThrow(/"a b"/)
    expect(() => stun({ servers: [] })).toThrow(TypeError)
    expect(() => stun({ servers: Array.from({ length: 9 }, () => 'a') })).toThrow(TypeError)
    expect(() => stun({ servers: ['a'], requests: 0 })).toThrow(/requests/)
    expect(() => stun({ servers: ['a'], requests: 8 })).toThrow(/requests/)
  })
})

async function search(
  here: Scene,
  options: StunOptions,
  ms = 0
): Promise<{ readonly findings: Finding[]; readonly done: Promise<void>; stop(): void }> {
  const findings: Finding[] = []
  const cut = new AbortController()
  const host = { clock: here.clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  const discovery = stun({ openUdp: here.nat.openUdp, ...options })(host)
  const done = discovery.discover({ gateways: [], addresses: [] }, (finding) => findings.push(finding), cut)
  await here.clock.advance(ms)
  return { findings, done, stop: () => cut.abort() }
}

const observersIn = (findings: readonly Finding[]): Observer[] =>
  findings.filter((finding): finding is Observer => finding.kind === 'observer')

describe('discover', () => {
  it('discover finds an observer for each server and family and sends no requests', async () => {
    const here = scene()
    const lookup = async (host: string): Promise<string[]> => [alpha.address, '21.0.0.9', `2001:db8::${host.length}`]
    const { findings, done } = await search(here, { servers: ['alpha', '31.0.0.1:9'], lookup })
    await done
    expect(observersIn(findings).map(({ party }) => party)).toEqual([
      { id: '31.0.0.1:9', network: '31.0.0.0/16' },
      { id: '21.0.0.1:3478', network: '21.0.0.0/16' },
      { id: '[2001:db8::5]:3478', network: '2001:db8::/32' }
    ])
    expect([here.nat.sent, here.clock.pending]).toEqual([[], 0])
  })

  it('discover reports a name that does not resolve and looks it up again with growing pauses', async () => {
    const here = scene()
    const at: number[] = []
    const lookup = async (): Promise<string[]> => {
      at.push(here.clock.monotonicMs())
      if (at.length < 5) throw new Error('ENOTFOUND')
      return [alpha.address]
    }
    const { findings, done } = await search(here, { servers: ['alpha'], lookup }, 100_000)
    await done
    expect(at).toEqual([0, 5000, 15_000, 35_000, 75_000])
    expect(findings[0]).toMatchObject({ kind: 'notice', what: 'absent', reason: { code: 'NAME_NOT_RESOLVED' } })
    expect(observersIn(findings)).toHaveLength(1)
  })

  it.each([
    ['ENOTFOUND', 'the DNS does not know the name alpha (ENOTFOUND): check its spelling'],
    ['EAI_AGAIN', 'no DNS server answers this machine (EAI_AGAIN): check the network connection'],
    ['EAI_FAIL', 'the name alpha cannot be looked up (EAI_FAIL): check the network connection']
  ])('discover reports why a name does not resolve: %s', async (code, text) => {
    const here = scene()
    // A refusal over two addresses has no message of its own.
    const lookup = (): Promise<never> => Promise.reject(Object.assign(new AggregateError([]), { code }))
    const { findings, stop } = await search(here, { servers: ['alpha'], lookup })
    stop()
    expect(findings[0]).toMatchObject({ what: 'absent', reason: { message: expect.stringContaining(text) } })
  })

  it('discover reports a slow look-up after 4 s and uses the later answer', async () => {
    const here = scene()
    const lookup = async (): Promise<string[]> => {
      await here.clock.sleep(20_000, call())
      return [alpha.address]
    }
    const { findings, done } = await search(here, { servers: ['alpha'], lookup }, 3999)
    expect(findings).toEqual([])
    await here.clock.advance(1)
    expect(findings).toMatchObject([
      { what: 'absent', reason: { message: expect.stringContaining('no DNS server answers this machine') } }
    ])
    await here.clock.advance(16_000)
    await done
    expect(observersIn(findings)).toHaveLength(1)
  })

  it('discover ends on abort although the resolver hangs', async () => {
    const here = scene()
    const { done, stop } = await search(here, { servers: ['alpha'], lookup: () => new Promise(() => undefined) })
    stop()
    await done
    expect(here.clock.pending).toBe(0)
  })
})

describe('an observer', () => {
  async function observerOf(here: Scene, options: Partial<StunOptions> = {}): Promise<Observer> {
    const { findings } = await search(here, { servers: ['21.0.0.1'], ...options })
    const [observer] = observersIn(findings)
    if (observer === undefined) throw new Error('there is no observer')
    return observer
  }

  it('observe resolves to everything that the server can show', async () => {
    const here = scene({ ...plainNat, filtering: 'address-dependent', hairpin: true })
    fakeServer(here.nat, alpha, { other: alphaOther })
    const { value } = await outcome(here.clock, (await observerOf(here)).observe(here.nat.lend(6000).tap, call()))
    const mapping = 'endpoint-independent'
    expect(value).toEqual({
      address: '/ip4/11.0.0.2/udp/40000',
      mapping,
      filtering: 'address-dependent',
      hairpin: 'works'
    })
  })

  it('observe resolves to the address only without the option behaviour', async () => {
    const here = scene()
    const { requests } = fakeServer(here.nat, alpha, { other: alphaOther })
    const observer = await observerOf(here, { behaviour: false })
    const { value } = await outcome(here.clock, observer.observe(here.nat.lend(6000).tap, call()))
    expect([value, requests()]).toEqual([{ address: '/ip4/11.0.0.2/udp/40000' }, 1])
  })

  it('observe tests the filtering of a socket once in five minutes', async () => {
    const here = scene()
    fakeServer(here.nat, alpha, { other: alphaOther })
    const [observer, { tap }] = [await observerOf(here), here.nat.lend(6000)]
    const filtering = async (): Promise<unknown> =>
      (await outcome(here.clock, observer.observe(tap, call()))).value?.filtering
    expect(await filtering()).toBe('address-and-port-dependent')
    expect(await filtering()).toBeUndefined()
    await here.clock.advance(300_000)
    expect(await filtering()).toBeDefined()
  })

  it('observe gives up after the configured number of transmissions', async () => {
    const here = scene()
    const give = async (requests: number): Promise<unknown> =>
      outcome(here.clock, (await observerOf(here, { requests })).observe(here.nat.lend(6000).tap, call()))
    expect(await give(4)).toMatchObject({ code: 'NO_REPLY', tookMs: 7500 })
    expect(await give(7)).toMatchObject({ code: 'NO_REPLY', tookMs: 39_500 })
  })

  it('observe rejects a socket of the other family', async () => {
    const here = scene()
    const { tap } = here.nat.lend(6000)
    const six = { ...tap, endpoint: { ...tap.endpoint, family: 6, address: '2001:db8::1' } } as const
    expect(await outcome(here.clock, (await observerOf(here)).observe(six, call()))).toMatchObject({
      code: 'UNSUPPORTED'
    })
    expect(here.nat.sent).toEqual([])
  })

  it('an observer of a server on another port has another id', async () => {
    const here = scene()
    fakeServer(here.nat, { ...bravo, port: 9 })
    const observer = await observerOf(here, { servers: ['31.0.0.1:9'] })
    expect((await outcome(here.clock, observer.observe(here.nat.lend(6000).tap, call()))).value?.address).toContain(
      '11.0.0.2'
    )
  })
})
