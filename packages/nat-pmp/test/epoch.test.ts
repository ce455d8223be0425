import { describe, expect, it } from 'vitest'
import { epochWatch } from '../src/epoch.js'

describe('epochWatch (RFC 6886 §3.6)', () => {
  it.each([
    ['goes on as expected', 100, 60, 160, false],
    ['is slow by an eighth', 100, 80, 170, false],
    ['is 2 s behind that', 100, 80, 168, false],
    ['is more than 2 s behind that', 100, 80, 167, true],
    ['begins anew', 100, 60, 0, true],
    ['is 5 although it was 2 ten seconds ago', 2, 10, 5, true],
    ['runs ahead, which is no restart', 100, 1, 100_000, false]
  ])('epochWatch judges an epoch that %s', (_, before, seconds, after, restarted) => {
    const epochs = epochWatch()
    expect(epochs.hasRestarted(before, 0)).toBe(false)
    expect(epochs.hasRestarted(after, seconds * 1000)).toBe(restarted)
  })

  it('epochWatch compares with the last value', () => {
    const epochs = epochWatch()
    epochs.hasRestarted(1000, 0)
    expect(epochs.hasRestarted(0, 1000)).toBe(true)
    expect(epochs.hasRestarted(1, 2000)).toBe(false)
  })
})
