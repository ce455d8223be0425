import { expect, it } from 'vitest'
import { eachSinceLast, sinceLast } from '../src/index.js'

it('sinceLast returns the increase since its last call', () => {
  let total = 3
  const next = sinceLast(() => total)
  expect(next()).toBe(3)
  expect(next()).toBe(0)
  total = 10
  expect(next()).toBe(7)
})

it('eachSinceLast returns the increase of each number, also if the object is changed in place', () => {
  const totals: Record<string, number> = { ip: 1 }
  const next = eachSinceLast(() => totals)
  expect(next()).toEqual({ ip: 1 })
  totals['ip'] = 5
  totals['peer'] = 2
  expect(next()).toEqual({ ip: 4, peer: 2 })
})
