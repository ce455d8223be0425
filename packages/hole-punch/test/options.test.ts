import { describe, expect, it } from 'vitest'
import { holePunch } from '../src/index.js'

describe('options that cannot be right', () => {
  it.each([
    [{ ports: 0 }, 'ports'],
    [{ ports: 5 }, 'ports'],
    [{ ports: 1.5 }, 'ports'],
    [{ rounds: 11 }, 'rounds'],
    [{ mostPeers: Number.NaN }, 'mostPeers'],
    [{ birthday: 'yes' }, 'birthday'],
    [{ graceMs: -1 }, 'graceMs'],
    [{ graceMs: Number.NaN }, 'graceMs'],
    [{ connect: 'net' }, 'connect']
  ])('%o are a TypeError that names them', (options, name) => {
    // As JavaScript would.
    expect(() => holePunch(options as object)).toThrow(TypeError)
    expect(() => holePunch(options as object)).toThrow(name)
  })

  it('are not taken for wrong where they are not', () => {
    expect(() => holePunch({ ports: 4, rounds: 10, mostPeers: 64, birthday: true, graceMs: Infinity })).not.toThrow()
  })
})
