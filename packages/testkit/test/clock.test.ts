import { expect, test } from 'vitest'
import { virtualClock } from '../src/index.js'

const never = new AbortController().signal

test('the clock wakes sleepers in the order of their due times, then of their sleep calls', async () => {
  const clock = virtualClock()
  const woken: string[] = []
  const sleepThen = async (ms: number, name: string): Promise<void> => {
    await clock.sleep(ms, { signal: never })
    woken.push(`${name} at ${clock.monotonicMs()}`)
  }
  for (const [ms, name] of [
    [30, 'c'],
    [10, 'a'],
    [20, 'b'],
    [10, 'a2']
  ] as const)
    void sleepThen(ms, name)
  expect(clock.pending).toBe(4)
  await clock.advance(25)
  expect(woken).toEqual(['a at 10', 'a2 at 10', 'b at 20'])
  expect(clock.monotonicMs()).toBe(25)
  await clock.advance(5)
  expect(woken.at(-1)).toBe('c at 30')
  expect(clock.pending).toBe(0)
})

test('the clock lets promise chains settle before it advances', async () => {
  const clock = virtualClock()
  const seen: number[] = []
  const chain = async (): Promise<void> => {
    for (let round = 0; round < 3; round += 1) {
      await clock.sleep(10, { signal: never })
      for (let hop = 0; hop < 50; hop += 1) await Promise.resolve()
      seen.push(clock.monotonicMs())
    }
  }
  void chain()
  await clock.advance(30)
  expect(seen).toEqual([10, 20, 30])
})

test('sleep rejects with the reason of its signal, before and during the sleep', async () => {
  const clock = virtualClock()
  const controller = new AbortController()
  const sleep = clock.sleep(10, { signal: controller.signal })
  controller.abort('enough')
  await expect(sleep).rejects.toBe('enough')
  await expect(clock.sleep(10, { signal: controller.signal })).rejects.toBe('enough')
  expect(clock.pending).toBe(0)
})

test('sleep removes its listener from the signal at its end', async () => {
  const clock = virtualClock()
  const { signal } = new AbortController()
  const calls: string[] = []
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof add>) => {
      calls.push('add')
      add(...args)
    },
    removeEventListener: (...args: Parameters<typeof remove>) => {
      calls.push('remove')
      remove(...args)
    }
  })
  void clock.sleep(10, { signal })
  await clock.advance(10)
  expect(calls).toEqual(['add', 'remove'])
})

test('jumpWall wakes no sleeper', async () => {
  const clock = virtualClock({ wallMs: 1000 })
  let awake = false
  const sleep = async (): Promise<void> => {
    await clock.sleep(5000, { signal: never })
    awake = true
  }
  void sleep()
  clock.jumpWall(3_600_000)
  await clock.advance(10)
  expect([clock.wallMs(), clock.monotonicMs(), awake]).toEqual([3_601_010, 10, false])
})

test('runUntilIdle resolves when nothing sleeps, and rejects at its limit', async () => {
  const clock = virtualClock()
  let left = 5
  const count = async (): Promise<void> => {
    while (left > 0) {
      await clock.sleep(1000, { signal: never })
      left -= 1
    }
  }
  void count()
  await clock.runUntilIdle()
  expect([left, clock.monotonicMs()]).toEqual([0, 5000])
  left = Number.POSITIVE_INFINITY
  void count()
  await expect(clock.runUntilIdle(10_000)).rejects.toThrow('1 sleeps are still pending')
})

test('the clock handles a million wake-ups', async () => {
  const clock = virtualClock()
  let woken = 0
  const loop = async (step: number): Promise<void> => {
    for (let round = 0; round < 1000; round += 1) {
      await clock.sleep(step, { signal: never })
      woken += 1
    }
  }
  for (let each = 0; each < 1000; each += 1) void loop(1000 + each)
  await clock.advance(2_000_000)
  expect([woken, clock.pending]).toEqual([1_000_000, 0])
}, 60_000)

test('the clock keeps no cancelled sleeps', async () => {
  const clock = virtualClock()
  for (let round = 0; round < 10_000; round += 1) {
    const deadline = new AbortController()
    const late = clock.sleep(1e9, { signal: deadline.signal }).catch(() => undefined)
    deadline.abort()
    await late
  }
  expect(clock.pending).toBe(0)
  await clock.runUntilIdle()
  expect(clock.monotonicMs()).toBe(0)
})
