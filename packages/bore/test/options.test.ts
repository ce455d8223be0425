import { afterEach, describe, expect, it, vi } from 'vitest'
import { type BoreOptions, bore, fromText } from '../src/index.js'

afterEach(() => vi.unstubAllEnvs())

describe('fromText', () => {
  it.each<readonly [string, BoreOptions]>([
    ['bore.example.org', { host: 'bore.example.org' }],
    ['bore:bore.example.org', { host: 'bore.example.org' }],
    ['bore:203.0.113.9:7836', { host: '203.0.113.9', controlPort: 7836 }],
    ['2001:db8::1', { host: '2001:db8::1' }],
    ['bore:[2001:db8::1]:7836', { host: '2001:db8::1', controlPort: 7836 }]
  ])('parses %s', (text, options) => {
    expect(fromText(text)).toEqual(options)
    expect(() => bore(options)).not.toThrow()
  })

  it('takes the secret from BORE_SECRET', () => {
    vi.stubEnv('BORE_SECRET', 'secret')
    expect(fromText('bore.example.org')).toEqual({ host: 'bore.example.org', secret: 'secret' })
  })

  it.each(['', 'bore:', 'bore:host:', 'host:0', 'host:65536', 'host:secret', '203.0.113', '[host]:1', 'a b', '://x'])(
    'rejects %j and quotes it',
    (text) => {
      expect(() => fromText(text)).toThrow(`"${text}" is not a bore server`)
    }
  )
})

describe('bore()', () => {
  it.each<readonly [string, unknown]>([
    ['host', { host: '' }],
    ['host', { host: 'a b' }],
    ['host', {}],
    ['secret', { host: 'h', secret: '' }],
    ['externalPort', { host: 'h', externalPort: 0 }],
    ['controlPort', { host: 'h', controlPort: 65_536 }],
    ['maxConnections', { host: 'h', maxConnections: 0 }],
    ['secrte', { host: 'h', secrte: 'x' }]
  ])('throws a TypeError that names the invalid option %s', (name, options) => {
    expect(() => bore(options as BoreOptions)).toThrow(TypeError)
    expect(() => bore(options as BoreOptions)).toThrow(name)
  })
})
