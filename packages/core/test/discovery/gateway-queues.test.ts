import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createGatewayQueues } from '../../src/discovery/gateway-queues.js'
import { router } from '../support.js'

const patienceMs = 2000

function setUp(): {
  readonly clock: ReturnType<typeof virtualClock>
  readonly running: Set<string>
  /** Queues a request that takes so long. Returns when it has ended. */
  readonly request: (strategy: string, name: string, takesMs: number) => Promise<void>
} {
  const clock = virtualClock()
  const queue = createGatewayQueues(clock, patienceMs).of(router)
  const running = new Set<string>()
  const { signal } = new AbortController()
  return {
    clock,
    running,
    request: (strategy, name, takesMs) =>
      queue.run(strategy, async () => {
        running.add(name)
        await clock.sleep(takesMs, { signal })
        running.delete(name)
      })
  }
}

describe('the request queue of a gateway', () => {
  it('a request of another strategy waits for one that answers in time', async () => {
    const { clock, running, request } = setUp()
    const all = Promise.all([request('pcp', 'first', 1000), request('upnp', 'second', 1000)])
    await clock.advance(999)
    expect([...running]).toEqual(['first'])
    await clock.advance(1)
    expect([...running]).toEqual(['second'])
    await clock.advance(1000)
    await all
  })

  it('a request of another strategy starts beside one that is overdue', async () => {
    const { clock, running, request } = setUp()
    const all = Promise.all([request('pcp', 'slow', 10_000), request('upnp', 'other', 1000)])
    await clock.advance(patienceMs)
    expect([...running]).toEqual(['slow', 'other'])
    await clock.advance(10_000)
    await all
  })

  it('a third strategy waits for the second one no longer than for the first', async () => {
    const { clock, running, request } = setUp()
    const all = Promise.all([
      request('upnp', 'first', 10_000),
      request('pcp', 'second', 10_000),
      request('nat-pmp', 'third', 1000)
    ])
    await clock.advance(2 * patienceMs)
    expect([...running]).toEqual(['first', 'second', 'third'])
    await clock.advance(10_000)
    await all
  })

  it('a request that waited behind an overdue one of its strategy does not start beside one that has overtaken it', async () => {
    const { clock, running, request } = setUp()
    const all = Promise.all([
      request('pcp', 'slow', patienceMs + 500),
      request('pcp', 'next', 1000),
      request('upnp', 'overtaking', 1500)
    ])
    await clock.advance(patienceMs + 499)
    expect([...running]).toEqual(['slow', 'overtaking'])
    await clock.advance(2)
    expect([...running]).toEqual(['overtaking'])
    await clock.advance(1000)
    expect([...running]).toEqual(['next'])
    await clock.advance(1000)
    await all
  })
})
