import { describe, expect, it } from 'vitest'
import { abortReason, type Clock, createQueue, orAborted, untilAborted, waitAtMost, within } from '../../src/index.js'

/** Returns a clock with sleeps that all end when the test says so. */
function handClock(): Clock & { pass(): void; sleeping(): number } {
  const sleepers = new Set<() => void>()
  return {
    monotonicMs: () => 0,
    wallMs: () => 0,
    sleeping: () => sleepers.size,
    pass() {
      for (const wake of sleepers) wake()
      sleepers.clear()
    },
    sleep: (_ms, { signal }) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        sleepers.add(resolve)
        signal.addEventListener('abort', () => {
          sleepers.delete(resolve)
          reject(signal.reason)
        })
      })
  }
}

const reason = abortReason('the caller has gone')
const never = <T>(): Promise<T> => Promise.withResolvers<T>().promise
const late = (): Error => new Error('late')

describe('untilAborted', () => {
  it('untilAborted resolves when the signal aborts, and at once if it has aborted', async () => {
    const cut = new AbortController()
    let isOver = false
    const waiting = untilAborted(cut.signal).then(() => (isOver = true))
    await Promise.resolve()
    expect(isOver).toBe(false)
    cut.abort(reason)
    await waiting
    await untilAborted(cut.signal)
  })
})

describe('orAborted', () => {
  it('orAborted settles as the promise does', async () => {
    const call = new AbortController()
    await expect(orAborted(Promise.resolve(3), call)).resolves.toBe(3)
    await expect(orAborted(Promise.reject(late()), call)).rejects.toThrow('late')
  })

  it('orAborted rejects with the reason of the signal, and a later rejection is handled', async () => {
    const call = new AbortController()
    const work = Promise.withResolvers<void>()
    const waiting = orAborted(work.promise, call)
    call.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    work.reject(late())
    await expect(orAborted(Promise.reject(late()), call)).rejects.toBe(reason)
  })
})

describe('within', () => {
  it('within settles as the call does, and ends its timer', async () => {
    const clock = handClock()
    await expect(within(clock, 10, new AbortController(), late, async () => 3)).resolves.toBe(3)
    await expect(within(clock, 10, new AbortController(), late, () => Promise.reject(reason))).rejects.toBe(reason)
    expect(clock.sleeping()).toBe(0)
  })

  it('within aborts the call and rejects with the error for a timeout when the time is over', async () => {
    const clock = handClock()
    let given: AbortSignal | undefined
    const waiting = within(clock, 10, new AbortController(), late, ({ signal }) => {
      given = signal
      return never()
    })
    clock.pass()
    await expect(waiting).rejects.toThrow('late')
    expect(given?.reason).toMatchObject({ message: 'late' })
  })

  it('within aborts the call with the signal of the caller, and does not begin after an abort', async () => {
    const clock = handClock()
    const cut = new AbortController()
    const waiting = within(clock, 10, cut, late, () => never())
    cut.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(within(clock, 10, cut, late, () => expect.fail('it was called'))).rejects.toBe(reason)
    expect(clock.sleeping()).toBe(0)
  })
})

describe('waitAtMost', () => {
  it('waitAtMost settles as the work does, and ends its timer', async () => {
    const clock = handClock()
    await expect(waitAtMost(clock, 10, Promise.resolve(3), undefined)).resolves.toBe(3)
    await expect(waitAtMost(clock, 10, Promise.reject(reason), undefined)).rejects.toBe(reason)
    expect(clock.sleeping()).toBe(0)
  })

  it('waitAtMost resolves to the other value when the time is over, and when the signal aborts', async () => {
    const clock = handClock()
    const waiting = waitAtMost(clock, 10, never(), 'late')
    clock.pass()
    await expect(waiting).resolves.toBe('late')
    const cut = new AbortController()
    const interrupted = waitAtMost(clock, 10, never(), 'late', cut)
    cut.abort(reason)
    await expect(interrupted).resolves.toBe('late')
    expect(clock.sleeping()).toBe(0)
  })
})

describe('createQueue', () => {
  it('createQueue runs one turn at a time, in the order of the calls, whether or not a turn fails', async () => {
    const queue = createQueue()
    const call = new AbortController()
    const first = Promise.withResolvers<string>()
    const begun: string[] = []
    const turn = (name: string, outcome: Promise<string>) => (): Promise<string> => {
      begun.push(name)
      return outcome
    }
    const one = queue(turn('first', first.promise), call)
    const two = queue(turn('second', Promise.resolve('two')), call)
    await Promise.resolve()
    expect(begun).toEqual(['first'])
    first.reject(reason)
    await expect(one).rejects.toBe(reason)
    await expect(two).resolves.toBe('two')
  })

  it('createQueue skips a turn of a signal that aborts while it waits', async () => {
    const queue = createQueue()
    const first = Promise.withResolvers<void>()
    const one = queue(() => first.promise, new AbortController())
    const cut = new AbortController()
    const two = queue(() => expect.fail('it was called'), cut)
    cut.abort(reason)
    await expect(two).rejects.toBe(reason)
    first.resolve()
    await one
    await expect(queue(async () => 3, new AbortController())).resolves.toBe(3)
  })
})
