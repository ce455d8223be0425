import { expect, it } from 'vitest'
import { byGateway } from '../../src/index.js'

it('byGateway creates one value for each gateway and evicts the least recently used one', () => {
  let made = 0
  const of = byGateway(() => ++made)
  expect([of('192.168.1.1'), of('192.168.1.254'), of('192.168.1.1')]).toEqual([1, 2, 1])
  for (let count = 0; count < 63; count += 1) of(`10.0.0.${count}`)
  expect(of('192.168.1.1')).toBe(1)
  expect(of('192.168.1.254')).toBe(made)
})
