import { type Clock, createQueue, type Network, natError, systemClock } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { isOnFirstHop, parseTimeExceeded, spacedHints, watchNetwork } from '../../src/index.js'

/** A minimal clock that the test advances. */
function handClock(): Clock & { advance(ms: number): Promise<void>; jumpWall(ms: number): void } {
  let now = 0
  let wall = 1_000_000
  const sleepers: { at: number; wake: () => void }[] = []
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    monotonicMs: () => now,
    wallMs: () => wall + now,
    sleep: (ms, { signal }) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        sleepers.push({ at: now + ms, wake: resolve })
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
    async advance(ms) {
      for (const end = now + ms; now < end; ) {
        await settle()
        now = Math.min(end, ...sleepers.filter(({ at }) => at > now).map(({ at }) => at))
        for (const sleeper of sleepers.filter(({ at }) => at <= now)) sleeper.wake()
      }
      await settle()
    },
    jumpWall(ms) {
      wall += ms
    }
  }
}

const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }

describe('watchNetwork', () => {
  it('isOnFirstHop resolves to unknown for an address without a route', async () => {
    // The kernel refuses to connect to the broadcast address (EACCES), before anything is sent.
    const looking = isOnFirstHop(
      '255.255.255.255',
      { clock: systemClock, timeExceeded: async () => 0 },
      new AbortController()
    )
    expect(await looking).toBe('unknown')
  })

  it('watchNetwork reports the network at once, and again only after a change or sleep', async () => {
    const clock = handClock()
    let network: Network = { gateways: [gateway], addresses: ['192.168.1.2'] }
    let broken = false
    const told: Network[] = []
    const end = new AbortController()
    const find = async (): Promise<Network> => {
      if (broken) throw natError('UNREACHABLE', 'no')
      return network
    }
    const watching = watchNetwork({ clock, find, changed: (each) => told.push(each) }, end)
    await clock.advance(10_000)
    expect(told).toHaveLength(1)
    network = { ...network, addresses: ['192.168.1.9'] }
    await clock.advance(2000)
    expect(told).toHaveLength(2)
    // A hardware address that becomes known is not a change.
    network = { ...network, gateways: [{ ...gateway, mac: '02:00:00:00:00:01' }] }
    await clock.advance(4000)
    expect(told).toHaveLength(2)
    clock.jumpWall(3_600_000)
    await clock.advance(2000)
    expect(told).toHaveLength(3)
    broken = true
    await clock.advance(6000)
    broken = false
    await clock.advance(2000)
    expect(told).toHaveLength(3)
    end.abort()
    await watching
  })
})

describe('watchNetwork with a snapshot', () => {
  /** Watches a network of the test, with a snapshot that reports a change when the test says so. */
  function scene() {
    const clock = handClock()
    const state = {
      network: { gateways: [gateway], addresses: ['192.168.1.2'] } as Network,
      differs: false,
      fault: undefined as Error | undefined,
      reads: 0,
      told: [] as Network[],
      failures: [] as unknown[],
      closed: 0
    }
    const end = new AbortController()
    const watching = watchNetwork(
      {
        clock,
        async find() {
          state.reads++
          if (state.fault !== undefined) throw state.fault
          return state.network
        },
        snapshot: {
          hasChanged() {
            const { differs } = state
            state.differs = false
            return differs
          },
          close: () => void state.closed++
        },
        changed: (each) => void state.told.push(each),
        failed: (error) => void state.failures.push(error)
      },
      end
    )
    /** Lets the clock run for a number of polls, and returns how often the network was read meanwhile. */
    async function polls(count: number): Promise<number> {
      const before = state.reads
      await clock.advance(count * 2000)
      return state.reads - before
    }
    return { clock, state, end, watching, polls }
  }

  /** A scene whose start is over. */
  async function settled() {
    const all = scene()
    all.state.differs = true
    await all.polls(20)
    return all
  }

  it('reads the network in one poll of fifteen while the snapshot stays the same', async () => {
    const { polls, end, watching } = await settled()
    expect(await polls(45)).toBe(3)
    end.abort()
    await watching
  })

  it('reads the network when the snapshot differs, and in the five polls after it', async () => {
    const { state, polls, end, watching } = await settled()
    await polls(45)
    state.differs = true
    state.network = { ...state.network, addresses: ['192.168.1.9'] }
    expect(await polls(1)).toBe(1)
    expect(state.told.at(-1)).toBe(state.network)
    expect(await polls(5)).toBe(5)
    expect(await polls(5)).toBe(0)
    end.abort()
    await watching
  })

  it('reports a change that only the network shows with the next read, and reads it in the five polls after it', async () => {
    const { state, polls, end, watching } = await settled()
    const told = state.told.length
    state.network = { ...state.network, addresses: ['192.168.1.9'] }
    await polls(15)
    expect(state.told).toHaveLength(told + 1)
    expect(await polls(30)).toBeLessThanOrEqual(5 + 2)
    end.abort()
    await watching
  })

  it('reads the network at every poll until it can be read again', async () => {
    const { state, polls, end, watching } = await settled()
    state.fault = natError('UNREACHABLE', 'no')
    state.differs = true
    expect(await polls(20)).toBe(20)
    expect(state.failures).toHaveLength(20)
    state.fault = undefined
    state.network = { ...state.network, addresses: ['192.168.1.9'] }
    await polls(1)
    expect(state.told.at(-1)).toBe(state.network)
    end.abort()
    await watching
  })

  it('reports the network after the machine slept, also if it can be read only later', async () => {
    const { clock, state, polls, end, watching } = await settled()
    const told = state.told.length
    clock.jumpWall(3_600_000)
    state.fault = natError('UNREACHABLE', 'no')
    await polls(3)
    expect(state.told).toHaveLength(told)
    state.fault = undefined
    await polls(1)
    expect(state.told).toHaveLength(told + 1)
    expect(await polls(10)).toBeLessThan(10)
    expect(state.told).toHaveLength(told + 1)
    end.abort()
    await watching
  })

  it('closes the snapshot at the end, also while a read hangs', async () => {
    const first = scene()
    await first.polls(2)
    first.end.abort()
    await first.watching
    expect(first.state.closed).toBe(1)

    const end = new AbortController()
    let closed = 0
    const snapshot = { hasChanged: () => true, close: () => void closed++ }
    const find = (): Promise<Network> => new Promise(() => undefined)
    const watching = watchNetwork({ clock: handClock(), find, snapshot, changed: () => undefined }, end)
    end.abort()
    await watching
    expect(closed).toBe(1)
  })
})

describe('isOnFirstHop', () => {
  const call = { signal: new AbortController().signal }

  interface Scene {
    /** Returns the number of answers of the router to `count` datagrams. */
    readonly answers?: (count: number) => number
    /** Returns the number of forged messages by the end of a window. */
    readonly forged?: (window: number) => number
    readonly refuses?: boolean
    readonly isSilentSystem?: boolean
    readonly random?: (bound: number) => number
  }

  async function look(scene: Scene): Promise<{ readonly outcome: string; readonly sent: readonly number[] }> {
    const { answers = () => 0, forged = () => 0, refuses = false, isSilentSystem = false, random } = scene
    const clock = handClock()
    const sent: number[] = []
    let total = 5
    let reads = 0
    const probe = (_address: string, count: number, { signal }: { signal: AbortSignal }): Promise<boolean> => {
      sent.push(count)
      total += answers(count)
      return refuses
        ? Promise.resolve(true)
        : new Promise((resolve) => signal.addEventListener('abort', () => resolve(false)))
    }
    const timeExceeded = async (): Promise<number | undefined> => {
      reads++
      if (reads % 2 === 0) total += forged(reads / 2 - 1)
      return isSilentSystem ? undefined : total
    }
    const options = { clock, probe, timeExceeded, ...(random === undefined ? {} : { random }) }
    const looking = isOnFirstHop('11.0.0.2', options, call)
    // Long enough for all windows and the pause between the two rounds.
    for (let step = 0; step < 50; step++) await clock.advance(100)
    return { outcome: await looking, sent }
  }

  it('isOnFirstHop resolves to held for an address that answers', async () => {
    expect((await look({ refuses: true })).outcome).toBe('held')
  })

  it('isOnFirstHop resolves to beyond if the time to live of exactly its datagrams was exceeded, twice', async () => {
    const { outcome, sent } = await look({ answers: (count) => count })
    expect(outcome).toBe('beyond')
    // As many as Linux answers within its rate limit.
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(8)
  })

  it('isOnFirstHop spreads its datagrams differently each time', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, async () => look({ answers: (count) => count })))
    expect(new Set(all.map(({ sent }) => sent.join())).size).toBeGreaterThan(5)
  })

  it.each<readonly [string, Scene]>([
    ['nothing came back', {}],
    ['another program traces routes too', { answers: (count) => count, forged: (window) => (window === 3 ? 1 : 0) }],
    ['one answer is lost', { answers: (count) => Math.max(0, count - 1) }],
    ['the system does not tell', { answers: (count) => count, isSilentSystem: true }],
    ['a neighbour floods', { forged: () => 3 }],
    ['a neighbour floods where the router answers, too', { answers: (count) => count, forged: () => 2 }],
    ['a neighbour forges two and three in turn', { forged: (window) => 2 + (window % 2) }],
    ['a neighbour forges one a window', { forged: () => 1 }],
    [
      'a neighbour forges in the second round',
      { answers: (count) => count, forged: (window) => (window === 8 ? 1 : 0) }
    ]
  ])('isOnFirstHop resolves to unknown if %s', async (_, scene) => {
    expect((await look(scene)).outcome).toBe('unknown')
  })

  it('isOnFirstHop resolves to unknown for any plan of forged messages', async () => {
    const choose = seeded(101)
    for (let run = 0; run < 300; run++) {
      const plan = Array.from({ length: 12 }, () => choose(4))
      expect((await look({ forged: (window) => plan[window] ?? 0 })).outcome).toBe('unknown')
    }
  })

  it('parseTimeExceeded reads the counter from /proc/net/snmp', () => {
    const snmp =
      'Ip: Forwarding DefaultTTL\nIp: 1 64\nIcmp: InMsgs InErrors InTimeExcds\nIcmp: 10 0 4\nIcmpMsg: InType11\nIcmpMsg: 4\n'
    expect(parseTimeExceeded(snmp)).toBe(4)
    expect(parseTimeExceeded('')).toBeUndefined()
    expect(parseTimeExceeded('Icmp: InMsgs\nIcmp: x\n')).toBeUndefined()
  })
})

/** Returns a generator of pseudo-random numbers, the same in each run. */
function seeded(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state * 48_271) % 2_147_483_647
    return state % bound
  }
}

describe('spacedHints', () => {
  it('spacedHints asks once for each burst of hints, with pauses', async () => {
    const clock = handClock()
    let asked = 0
    const hints = spacedHints(() => Promise.resolve(void asked++), clock, { signal: new AbortController().signal })
    for (let count = 0; count < 100; count++) hints.take()
    await clock.advance(500)
    expect(asked).toBe(1)
    await clock.advance(5000)
    expect(asked).toBeLessThanOrEqual(2)
    hints.take()
    await clock.advance(10)
    expect(asked).toBeLessThanOrEqual(3)
    await clock.advance(2000)
    await hints.settled()
  })
})

describe('createQueue', () => {
  it('createQueue runs one turn at a time in order and rejects an aborted one at once', async () => {
    const inTurn = createQueue()
    const never = { signal: new AbortController().signal }
    const first = Promise.withResolvers<void>()
    const trace: string[] = []
    const one = inTurn(async () => {
      trace.push('one')
      await first.promise
    }, never)
    const abort = new AbortController()
    const two = inTurn(async () => void trace.push('two'), abort)
    const three = inTurn(async () => void trace.push('three'), never)
    abort.abort(new Error('gone'))
    await expect(two).rejects.toThrow('gone')
    expect(trace).toEqual(['one'])
    first.resolve()
    await Promise.all([one, three])
    expect(trace).toEqual(['one', 'three'])
  })

  it('createQueue continues after a turn that failed', async () => {
    const inTurn = createQueue()
    const never = { signal: new AbortController().signal }
    await expect(inTurn(() => Promise.reject(new Error('x')), never)).rejects.toThrow('x')
    expect(await inTurn(async () => 2, never)).toBe(2)
  })
})
