import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { followHost, type Lookup } from '../../src/index.js'

/** Follows a name by a resolver, and collects the reasons why it is not resolved. */
function follow(host: string, lookup: Lookup) {
  const clock = virtualClock()
  const reasons: string[] = []
  const end = new AbortController()
  const done = followHost(
    host,
    { lookup, clock, random: () => 0.5, absent: ({ code, message }) => reasons.push(`${code} ${message}`) },
    end
  )
  return { clock, reasons, end, done }
}

const failure = (code: string): Error => Object.assign(new Error(code), { code })

describe('followHost', () => {
  it('followHost resolves to the first address of each family, and does not look up an address', async () => {
    const both = follow('example.org', async () => ['2001:db8::1', '203.0.113.1', '203.0.113.2'])
    expect(await both.done).toEqual(['203.0.113.1', '2001:db8::1'])
    const literal = follow('203.0.113.1', () => expect.fail('an address was looked up'))
    expect(await literal.done).toEqual(['203.0.113.1'])
    expect([both.clock.pending, literal.clock.pending]).toEqual([0, 0])
  })

  it('followHost looks a name up again after 5 s, then 10 s, and tells why it waits', async () => {
    let count = 0
    const { clock, reasons, done } = follow('example.org', async () => {
      count += 1
      if (count < 3) throw failure(count === 1 ? 'ENOTFOUND' : 'EAI_AGAIN')
      return ['203.0.113.1']
    })
    await clock.advance(4999)
    expect(count).toBe(1)
    await clock.advance(1)
    expect(count).toBe(2)
    await clock.advance(10_000)
    expect(await done).toEqual(['203.0.113.1'])
    expect(reasons).toEqual([
      expect.stringMatching(/^NAME_NOT_RESOLVED .*does not know the name/),
      expect.stringMatching(/^NAME_NOT_RESOLVED .*no DNS server answers/)
    ])
  })

  it('followHost tells of a slow look-up after 4 s, and resolves to nothing when the signal aborts', async () => {
    const { clock, reasons, end, done } = follow('example.org', () => new Promise(() => undefined))
    await clock.advance(4000)
    expect(reasons).toEqual([expect.stringMatching(/is not resolved after 4 s/)])
    end.abort()
    expect(await done).toEqual([])
    expect(clock.pending).toBe(0)
  })
})
