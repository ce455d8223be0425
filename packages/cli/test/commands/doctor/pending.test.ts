import { expect, it } from 'vitest'
import { createPending } from '../../../src/commands/doctor/pending.js'

it('the first thing that is still waited for is told, until all are over', async () => {
  const pending = createPending()
  const one = Promise.withResolvers<number>()
  const other = Promise.withResolvers<number>()
  const first = pending.during('one', one.promise)
  const second = pending.during('other', other.promise).catch(() => 'failed')
  expect(pending.first()).toEqual({ doing: 'one' })
  one.resolve(1)
  expect(await first).toBe(1)
  expect(pending.first()).toEqual({ doing: 'other' })
  other.reject(new Error('no'))
  expect(await second).toBe('failed')
  expect(pending.first()).toBeUndefined()
})
