import { type Clock, type Network, natError } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { createQueue, isOnFirstHop, parseTimeExceeded, spacedHints, watchNetwork } from '../src/index.js'

/** A clock that a test moves, small enough to need no kit. */
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

describe('watching the network', () => {
  it('tells it at once, then only when it changed or the machine slept', async () => {
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
    // A hardware address that becomes known is no change.
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

describe('the next hop', () => {
  const call = { signal: new AbortController().signal }
  const look = async (refuses: boolean, exceeded: readonly (number | undefined)[]): Promise<string> => {
    const clock = handClock()
    const counts = [...exceeded]
    const probe = (_address: string, _count: number, { signal }: { signal: AbortSignal }): Promise<boolean> =>
      refuses ? Promise.resolve(true) : new Promise((resolve) => signal.addEventListener('abort', () => resolve(false)))
    const looking = isOnFirstHop('11.0.0.2', { clock, probe, timeExceeded: async () => counts.shift() }, call)
    await clock.advance(1000)
    return looking
  }

  it('holds an address that answers', async () => {
    expect(await look(true, [0, 0, 0, 0])).toBe('held')
  })

  it('does not hold one for which exactly our datagrams exceeded their time to live', async () => {
    expect(await look(false, [5, 7, 7, 10])).toBe('beyond')
  })

  it.each([
    ['nothing came back', [5, 5, 5, 5]],
    ['somebody else traces routes too', [5, 9, 9, 12]],
    ['the second count does not fit', [5, 7, 7, 9]],
    ['the system does not tell', [undefined, undefined, undefined, undefined]]
  ])('is not known to when %s', async (_, exceeded) => {
    expect(await look(false, exceeded)).toBe('unknown')
  })

  it('is read from /proc/net/snmp', () => {
    const snmp =
      'Ip: Forwarding DefaultTTL\nIp: 1 64\nIcmp: InMsgs InErrors InTimeExcds\nIcmp: 10 0 4\nIcmpMsg: InType11\nIcmpMsg: 4\n'
    expect(parseTimeExceeded(snmp)).toBe(4)
    expect(parseTimeExceeded('')).toBeUndefined()
    expect(parseTimeExceeded('Icmp: InMsgs\nIcmp: x\n')).toBeUndefined()
  })
})

describe('hints', () => {
  it('are asked about once a burst, spaced, and survive an answer that fails', async () => {
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

describe('a queue', () => {
  it('has one turn at a time, in order, and lets the aborted go at once', async () => {
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

  it('goes on after a turn that failed', async () => {
    const inTurn = createQueue()
    const never = { signal: new AbortController().signal }
    await expect(inTurn(() => Promise.reject(new Error('x')), never)).rejects.toThrow('x')
    expect(await inTurn(async () => 2, never)).toBe(2)
  })
})
