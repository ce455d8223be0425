import { type Network, natError, type Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, vi } from 'vitest'
import { type RunTraversalOptions, runTraversal, type TraversalRun } from '../src/index.js'

const home: Network = {
  gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
  addresses: ['192.168.1.2']
}
const cafe: Network = {
  gateways: [{ address: '10.0.0.1', interface: 'wlan0', localAddress: '10.0.0.2' }],
  addresses: ['10.0.0.2']
}

/** The first pass takes less than this, in ms. */
const passMs = 1000

/** Returns a run on a virtual clock with a strategy that writes down the networks that it searches, and finds nothing. */
function setUp(options: Partial<RunTraversalOptions> = {}): {
  readonly clock: ReturnType<typeof virtualClock>
  readonly run: TraversalRun
  readonly searched: Network[]
} {
  const clock = virtualClock()
  const searched: Network[] = []
  const strategy: Strategy = () => ({
    name: 'scribe',
    async discover(network) {
      searched.push(network)
      throw natError('NO_SERVICE', 'nothing is here')
    }
  })
  const host = { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  return { clock, searched, run: runTraversal({ strategies: [strategy], host, ...options }) }
}

/** Returns whether a promise has settled after the clock has advanced. */
async function isDone(work: Promise<unknown>, clock: ReturnType<typeof virtualClock>, ms = 0): Promise<boolean> {
  let done = false
  void work.finally(() => (done = true)).catch(() => undefined)
  await clock.advance(ms)
  return done
}

const refuses = async (): Promise<Network> => {
  throw natError('UNREACHABLE', 'no routes')
}

describe('runTraversal', () => {
  it('runTraversal throws a TypeError for an option that it does not have', () => {
    expect(() => setUp({ networkTimeout: 3 } as object)).toThrow('Did you mean "networkTimeoutMs"?')
    expect(() => setUp({ strategies: [3] as never })).toThrow(TypeError)
  })

  it('ready() resolves after the first pass in the network that was found', async () => {
    const { run, clock, searched } = setUp({ findNetwork: async () => home })
    expect(run.network()).toEqual({ gateways: [], addresses: [] })
    expect(await isDone(run.ready(), clock, passMs)).toBe(true)
    expect(searched).toEqual([home])
    expect(run.network()).toBe(home)
    await run.stop()
    expect(clock.pending).toBe(0)
  })

  it('start() waits 5 s for a network that cannot be read, and tells the error until it can be', async () => {
    let find = refuses
    const { run, clock, searched } = setUp({ findNetwork: () => find() })
    const starting = run.start()
    expect(await isDone(starting, clock, 4999)).toBe(false)
    expect(run.networkError()).toMatchObject({ code: 'UNREACHABLE' })
    expect(await isDone(starting, clock, 1)).toBe(true)
    find = async () => home
    await clock.advance(2000)
    expect(run.networkError()).toBeUndefined()
    expect(searched).toContainEqual(home)
    find = refuses
    await clock.advance(2000)
    expect(run.networkError()).toBeUndefined()
    await run.stop()
  })

  it('start() does not wait for a network that the runtime does not permit to read', async () => {
    const findNetwork = async (): Promise<Network> => {
      throw natError('NOT_PERMITTED', 'no permission')
    }
    const { run, clock } = setUp({ findNetwork, networkTimeoutMs: Infinity })
    expect(await isDone(run.ready(), clock, passMs)).toBe(true)
    await run.stop()
  })

  it.each([undefined, {}, { gateways: 5, addresses: [] }])(
    'a findNetwork that resolves with %j is told about',
    async (network) => {
      const { run, clock } = setUp({ findNetwork: async () => network as never })
      void run.start()
      await clock.advance(0)
      expect(run.networkError()).toEqual(
        new TypeError('findNetwork() resolved with no network: it has to have gateways and addresses, both arrays')
      )
      await run.stop()
    }
  )

  it('a run that is disposed while it starts has stopped', async () => {
    const { run, clock } = setUp({ findNetwork: refuses })
    const starting = run.ready()
    const disposing = run[Symbol.asyncDispose]()
    expect(await isDone(Promise.all([starting, disposing, run[Symbol.asyncDispose]()]), clock)).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('networkTimeoutMs is how long start() waits', async () => {
    const short = setUp({ findNetwork: refuses, networkTimeoutMs: 100 })
    expect(await isDone(short.run.start(), short.clock, 100)).toBe(true)
    await short.run.stop()
    const endless = setUp({ findNetwork: refuses, networkTimeoutMs: Infinity })
    const starting = endless.run.start()
    expect(await isDone(starting, endless.clock, 3_600_000)).toBe(false)
    await endless.run.stop()
    await starting
  })

  it('watch() finds the network before start(), which does not wait then', async () => {
    const changes: Network[] = []
    const { run, clock, searched } = setUp({ findNetwork: async () => home, changed: (each) => changes.push(each) })
    run.watch()
    await clock.advance(0)
    expect([changes, searched]).toEqual([[home], []])
    await run.start()
    expect(searched).toEqual([home])
    await run.stop()
  })

  it('changed is called for each network, after the traversal has learned of it', async () => {
    let network = home
    const calls: string[] = []
    const { run, clock } = setUp({
      findNetwork: async () => network,
      changed: ({ addresses }) => calls.push(`changed ${addresses.join()}`)
    })
    const { setNetwork } = run.traversal
    vi.spyOn(run.traversal, 'setNetwork').mockImplementation((next) => {
      calls.push(`set ${next.addresses.join()}`)
      setNetwork(next)
    })
    await isDone(run.ready(), clock, passMs)
    network = cafe
    await clock.advance(2000)
    expect(calls).toEqual(['set 192.168.1.2', 'changed 192.168.1.2', 'set 10.0.0.2', 'changed 10.0.0.2'])
    expect(run.network()).toBe(cafe)
    await run.stop()
  })

  it('a given network is used at once, and not watched without findNetwork', async () => {
    const { run, clock, searched } = setUp({ network: home })
    expect(run.network()).toBe(home)
    await run.start()
    expect(searched).toEqual([home])
    await clock.advance(60_000)
    expect(run.network()).toBe(home)
    await run.stop()
  })

  it('a given network is watched with findNetwork', async () => {
    const { run, clock } = setUp({ network: home, findNetwork: async () => cafe })
    await run.start()
    // The first requests leave now.
    await clock.advance(0)
    expect(run.network()).toBe(home)
    await clock.advance(20)
    expect(run.network()).toBe(cafe)
    await run.stop()
  })

  it('stop() ends a watch that has not begun', async () => {
    const { run, clock } = setUp({ network: home, findNetwork: async () => cafe })
    await run.start()
    await run.stop()
    expect(clock.pending).toBe(0)
    await clock.advance(60_000)
    expect(run.network()).toBe(home)
  })

  it('unwatch() leaves the traversal as it is', async () => {
    let network = home
    const { run, clock } = setUp({ findNetwork: async () => network })
    await isDone(run.ready(), clock, passMs)
    await run.unwatch()
    network = cafe
    await clock.advance(10_000)
    expect(run.network()).toBe(home)
    await run.stop()
  })

  it('stop() ends a start that waits, without starting the traversal', async () => {
    const { run, clock, searched } = setUp({ findNetwork: () => Promise.withResolvers<Network>().promise })
    const starting = run.start()
    await run.stop()
    await starting
    await clock.advance(60_000)
    expect(searched).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('start() starts again after stop()', async () => {
    const { run, clock, searched } = setUp({ findNetwork: async () => home })
    await isDone(run.ready(), clock, passMs)
    await run.stop()
    expect(await isDone(run.ready(), clock, passMs)).toBe(true)
    expect(searched).toEqual([home, home])
    await run.stop()
    expect(clock.pending).toBe(0)
  })

  it.each([true, false])('socket: %s decides whether observers get a socket of this host', async (socket) => {
    const asked = Promise.withResolvers<string>()
    const strategy: Strategy = () => ({
      name: 'watcher',
      async discover(_network, found) {
        found({
          kind: 'observer',
          party: { id: '203.0.113.1:3478', network: '203.0.0.0' },
          async observe(tap) {
            asked.resolve(tap.endpoint.address)
            throw natError('NO_REPLY', 'the server does not answer')
          }
        })
      }
    })
    const local: Network = {
      gateways: [{ address: '127.0.0.9', interface: 'lo', localAddress: '127.0.0.1' }],
      addresses: ['127.0.0.1']
    }
    const { run, clock } = setUp({ network: local, socket, strategies: [strategy] })
    await run.start()
    await clock.advance(passMs)
    if (socket) expect(await asked.promise).toBe('127.0.0.1')
    else expect(await isDone(asked.promise, clock, 60_000)).toBe(false)
    await run.stop()
  })
})
