import fc from 'fast-check'
import { expect, test } from 'vitest'
import { epochWatch } from '../src/epoch.js'

/** Returns whether the second value, received `seconds` after the first, means a restart. */
function restarted(first: number, second: number, seconds: number): boolean {
  const epochs = epochWatch()
  epochs.hasRestarted(first, 0)
  return epochs.hasRestarted(second, seconds * 1000)
}

test('epochWatch reports no restart for the first value', () => {
  expect(epochWatch().hasRestarted(0, 1_000_000)).toBe(false)
})

test.each([
  ['going on', 100, 110, 10, false],
  ['one second back, as answers that overtake each other are', 100, 99, 0, false],
  ['two seconds back', 100, 98, 0, true],
  ['back to zero', 100, 0, 10, true],
  ['2, then 5 after a restart ten seconds later, which is not smaller than before', 2, 5, 10, true],
  ['2 s slow, which is rounding', 100, 108, 10, false],
  ['2 s and a sixteenth slow', 100, 1598, 1600, false],
  ['a second slower than that', 100, 1597, 1600, true],
  ['2 s and a sixteenth fast', 100, 1700, 1498, false],
  ['a second faster than that', 100, 1700, 1497, true],
  ['far ahead: it is another server', 100, 5000, 10, true],
  ['still, as a server without a clock', 0, 0, 3600, true]
])('epochWatch judges an epoch that is %s (RFC 6887 §8.5)', (_, first, second, seconds, expected) => {
  expect(restarted(first, second, seconds)).toBe(expected)
})

test('epochWatch compares with the last value, also after a restart', () => {
  const epochs = epochWatch()
  epochs.hasRestarted(1000, 0)
  expect(epochs.hasRestarted(0, 10_000)).toBe(true)
  expect(epochs.hasRestarted(10, 20_000)).toBe(false)
})

test('epochWatch reports no restart for a server with a correct clock', () => {
  const seconds = fc.double({ min: 0, max: 10_000_000, noNaN: true })
  fc.assert(
    fc.property(fc.nat(2_000_000_000), seconds, (first, passed) => {
      expect(restarted(first, Math.floor(first + passed), passed)).toBe(false)
    })
  )
})
