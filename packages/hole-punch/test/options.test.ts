import { describe, expect, it } from 'vitest'
import { holePunch } from '../src/index.js'

describe('the options of holePunch()', () => {
  it.each([
    [{ ports: 0 }, 'ports'],
    [{ ports: 5 }, 'ports'],
    [{ ports: 1.5 }, 'ports'],
    [{ rounds: 11 }, 'rounds'],
    [{ maxPeers: Number.NaN }, 'maxPeers'],
    [{ birthday: 'yes' }, 'birthday'],
    [{ graceMs: -1 }, 'graceMs'],
    [{ graceMs: Number.NaN }, 'graceMs'],
    [{ connect: 'net' }, 'connect']
  ])('holePunch() throws a TypeError that names the invalid option: %o', (options, name) => {
    // As in JavaScript, without type checks.
    expect(() => holePunch(options as object)).toThrow(TypeError)
    expect(() => holePunch(options as object)).toThrow(name)
  })

  it('holePunch() accepts the largest valid options', () => {
    expect(() => holePunch({ ports: 4, rounds: 10, maxPeers: 64, birthday: true, graceMs: Infinity })).not.toThrow()
  })
})
