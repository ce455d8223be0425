import { createSocket } from 'node:dgram'
import { getEventListeners, once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@postern/core'
import { natError, type Strategy } from '@postern/interface'
import { createGateway, type FakeGateway, listen, virtualClock } from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { type ExposeOptions, type Exposure, expose, stateFile } from '../src/index.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** A gateway on loopback, and the options to use only that one. */
async function router(): Promise<{ readonly gateway: FakeGateway; readonly options: ExposeOptions }> {
  const gateway = createGateway({ externalAddress: '11.0.0.2' })
  const listening = await listen(gateway)
  cleanups.push(() => listening.close())
  const { address } = listening
  return { gateway, options: { strategies: `pcp:${address},nat-pmp:${address},upnp:${address}`, store: memoryStore() } }
}

/** A network that is never found. */
const silent: NonNullable<ExposeOptions['findNetwork']> = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

async function exposed(...args: Parameters<typeof expose>): Promise<Exposure> {
  const exposure = await expose(...args)
  cleanups.push(() => exposure.close())
  return exposure
}

const portOf = (bound: unknown): number =>
  typeof bound === 'object' && bound !== null && 'port' in bound ? Number(bound.port) : 0

it('expose leaves no listener on the signal and the server, however it ends', async () => {
  const { signal } = new AbortController()
  for (let count = 0; count < 20; count++) {
    const server = createServer().listen(0, '127.0.0.1')
    const before = server.eventNames().map((name) => [name, server.listenerCount(name)])
    const exposure = await expose(server, { strategies: 'none', store: memoryStore(), signal })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    if (count % 2 === 0) await exposure.close()
    expect(server.eventNames().map((name) => [name, server.listenerCount(name)])).toEqual(
      count % 2 === 0 ? before : expect.anything()
    )
    server.close()
    await once(server, 'close')
    await exposure.close()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  }
  const aborted = await expose(createServer(), {
    strategies: 'none',
    store: memoryStore(),
    signal: AbortSignal.abort()
  })
  await aborted.close()
})

describe('expose', () => {
  it('expose maps an HTTP server through the gateway on loopback, and close releases it', async () => {
    const { gateway, options } = await router()
    const server = createHttpServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    const exposure = await exposed(server, options)
    const port = portOf(server.address())
    expect(exposure.addresses).toEqual([`/ip4/11.0.0.2/tcp/${port}`])
    expect(gateway.mappings).toMatchObject([
      { protocol: 'tcp', internalAddress: '127.0.0.1', internalPort: port, via: 'pcp' }
    ])
    const told: string[] = []
    exposure.addEventListener('released', ({ detail }) => told.push(detail.event))
    await exposure.close()
    await exposure.close()
    expect(told).toEqual(['released'])
    expect(gateway.mappings).toEqual([])
    expect(gateway.violations).toEqual([])
    expect(server.listening).toBe(true)
  })

  it('expose waits until the server listens', async () => {
    const { gateway, options } = await router()
    const server = createServer()
    cleanups.push(() => server.close())
    const exposing = exposed(server, options)
    server.listen(0, '127.0.0.1')
    await exposing
    expect(gateway.mappings).toHaveLength(1)
  })

  it('expose maps a UDP socket', async () => {
    const { gateway, options } = await router()
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    cleanups.push(() => socket.close())
    const exposure = await exposed(socket, options)
    expect(gateway.mappings).toMatchObject([{ protocol: 'udp' }])
    expect(exposure.report().verdict).toBe('public')
  })

  it('the exposure ends when the server closes', async () => {
    const { gateway, options } = await router()
    const server = createServer().listen(0, '127.0.0.1')
    const exposure = await exposed(server, options)
    server.close()
    await once(server, 'close')
    await exposure.close()
    expect(gateway.mappings).toEqual([])
  })

  it('the exposure ends when its signal aborts, also before the server listens', async () => {
    const { gateway, options } = await router()
    const abort = new AbortController()
    const server = createServer().listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    const exposure = await exposed(server, { ...options, signal: abort.signal })
    abort.abort()
    await exposure.close()
    expect(gateway.mappings).toEqual([])
    const never = createServer()
    const late = new AbortController()
    const waiting = exposed(never, { ...options, signal: late.signal })
    late.abort()
    expect((await waiting).addresses).toEqual([])
  })

  it('expose resolves for any verdict, with the reason', async () => {
    const { options } = await router()
    const server = createServer().listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    const nowhere = async (): Promise<{ gateways: []; addresses: [] }> => ({ gateways: [], addresses: [] })
    const exposure = await exposed(server, { store: memoryStore(), findNetwork: nowhere, strategies: [] })
    expect(exposure.report()).toMatchObject({ verdict: 'private', cause: 'loopback-only' })
    expect(options.strategies).toBeDefined()
  })

  it.each([
    ['the store hangs', {}],
    ['neither the store nor the network answers', { findNetwork: silent }]
  ])('expose resolves within 5 s if %s, and close works', async (_, more) => {
    const clock = virtualClock()
    const server = createServer().listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    await once(server, 'listening')
    const hangs = { load: () => new Promise<never>(() => undefined), save: () => new Promise<never>(() => undefined) }
    const host = { clock, random: Math.random, log: { debug: () => undefined, info: () => undefined } }
    const waiting = expose(server, { strategies: [], store: hangs, host, ...more })
    await clock.advance(5000)
    const exposure = await waiting
    let isClosed = false
    void exposure.close().then(() => (isClosed = true))
    await clock.advance(5000)
    expect(isClosed).toBe(true)
  })

  it('expose calls the listeners of the option `on` before it resolves', async () => {
    const { options } = await router()
    const server = createServer().listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    const told: string[] = []
    await exposed(server, {
      ...options,
      on: { mapped: ({ detail }) => told.push(detail.event), verdict: ({ detail }) => told.push(detail.verdict) }
    })
    expect(told).toContain('mapped')
    expect(told).toContain('public')
  })

  it('expose throws a TypeError for invalid arguments', async () => {
    await expect(expose(Object.assign({}))).rejects.toThrow(TypeError)
    const server = createServer().listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    await expect(expose(server, { strategies: 'carrier-pigeon' })).rejects.toThrow(TypeError)
    await expect(expose(server, { policy: { requestTimeoutMs: -1 } })).rejects.toThrow(TypeError)
    const pipe = createServer().listen(join(tmpdir(), `postern-${process.pid}.sock`))
    cleanups.push(() => pipe.close())
    await expect(expose(pipe, { strategies: [], store: memoryStore() })).rejects.toThrow(TypeError)
  })

  it('expose accepts no strategy at compile time that needs more than a plain host', () => {
    interface RichHost {
      readonly clock: never
      readonly random: () => number
      readonly log: never
      readonly components: { readonly peerId: string }
    }
    const rich: Strategy<RichHost> = () => ({ name: 'rich', discover: () => Promise.resolve() })
    // @ts-expect-error -- a Strategy of a richer host is not a Strategy
    const options: ExposeOptions = { strategies: [rich] }
    expect(options.strategies).toHaveLength(1)
  })
})

describe('a network that cannot be read', () => {
  it.each([
    ['the runtime does not permit it', 0, natError('NOT_PERMITTED', 'the runtime does not let this program look')],
    ['its tool is missing', 5000, new Error('spawn netstat ENOENT')]
  ])('expose reports a network that cannot be read: %s', async (_, afterMs, error) => {
    const clock = virtualClock()
    const host = { clock, random: Math.random, log: { debug: () => undefined, info: () => undefined } }
    const server = createServer().listen(0, '0.0.0.0')
    cleanups.push(() => server.close())
    await once(server, 'listening')
    let fails = true
    const findNetwork: NonNullable<ExposeOptions['findNetwork']> = async () => {
      if (fails) throw error
      return { gateways: [], addresses: [] }
    }
    const waiting = exposed(server, { strategies: 'pcp', store: memoryStore(), host, findNetwork })
    await clock.advance(afterMs)
    const exposure = await waiting
    const sentence = `The network of this machine is not known: ${error.message}.`
    expect(exposure.report()).toMatchObject({ verdict: 'unknown', advice: [sentence] })
    fails = false
    await clock.advance(2000)
    expect(exposure.report().advice).not.toContain(sentence)
  })
})

it('expose needs no permission to read the environment on Deno', async () => {
  const { env } = process
  const refuse = (): never => {
    throw Object.assign(new Error('Requires env access to "XDG_STATE_HOME"'), { name: 'NotCapable' })
  }
  Object.defineProperty(process, 'env', { configurable: true, value: new Proxy({}, { get: refuse, has: refuse }) })
  cleanups.push(() => Object.defineProperty(process, 'env', { configurable: true, value: env }))
  expect(stateFile('x.json')).toMatch(/x\.json$/)
})
