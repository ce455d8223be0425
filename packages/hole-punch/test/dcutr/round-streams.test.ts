import type { Stream } from '@libp2p/interface'
import { describe, expect, it } from 'vitest'
import { createInbox } from '../../src/dcutr/round-streams.js'

describe('an inbox of streams', () => {
  const stream = (reset: string[], name: string): Stream =>
    ({ abort: (error: Error) => void reset.push(`${name}: ${error.message}`) }) as unknown as Stream

  it('the inbox gives a stream to a waiting call, keeps one, and resets the others', async () => {
    const reset: string[] = []
    const inbox = createInbox()
    const gone = new AbortController()
    const waiting = inbox.take(gone)
    gone.abort(new Error('no time'))
    await expect(waiting).rejects.toThrow('no time')
    const [one, two, three] = ['one', 'two', 'three'].map((name) => stream(reset, name))
    if (one === undefined || two === undefined || three === undefined) throw new Error('no streams')
    inbox.put(one)
    inbox.put(two)
    expect(await inbox.take(new AbortController())).toBe(one)
    inbox.put(three)
    inbox.end()
    inbox.put(one)
    expect(reset).toEqual([
      'two: another round is waiting already',
      'three: the punch has ended',
      'one: the punch has ended'
    ])
  })
})
