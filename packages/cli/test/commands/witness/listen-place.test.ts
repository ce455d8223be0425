import { describe, expect, it } from 'vitest'
import { formatListen, parseListen } from '../../../src/commands/witness/listen-place.js'

describe('parseListen', () => {
  it.each([
    ['0.0.0.0:4003', '0.0.0.0', 4003],
    ['[::]:4003', '::', 4003],
    ['[2001:db8::9]:80', '2001:db8::9', 80]
  ])('parseListen reads %s, and formatListen writes it', (text, host, port) => {
    expect(parseListen(text)).toEqual({ host, port })
    expect(formatListen({ host, port })).toBe(text)
  })

  it.each(['', '4003', '::4003', '[0.0.0.0]:4003', 'example.org:4003', '0.0.0.0:0', '0.0.0.0:65536', '0.0.0.0'])(
    'parseListen rejects "%s"',
    (text) => {
      expect(() => parseListen(text)).toThrow(/give an IP address and a port/)
    }
  )
})
