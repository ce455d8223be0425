import { describe, expect, it } from 'vitest'
import { fingerprintOf, keysFor, nameInKnownHosts, typeOf } from '../src/known-hosts.js'

const ed25519 = 'AAAAC3NzaC1lZDI1NTE5AAAAIJ75FoRPn34pGLTNVJxXWkwhsB4dRr5xM6NdWJdrWFAs'
const other = 'AAAAC3NzaC1lZDI1NTE5AAAAIBg1NEgbZNvJIpCJqMK0ci86v9/Vl3jDcu547xaKyner'
const ecdsa =
  'AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBF9PCrnMZv/9gciDNaxyZghHXXMa7vS+FTZzoCHVzt/KOolJHMOaKn3AD8DKlAQuGO0zXBU4jNYT8thA+gakgJw='

/** Written by `ssh-keygen -H` of OpenSSH 9.2. */
const hashed = `|1|x+f0Ab2y8/UywnPgv8co+0ZwDiM=|89NA8SoXW4dPmJIRcSCvJehuSns= ssh-ed25519 ${ed25519}
|1|1sAtI5ogql2UuBIlIN1fqPFZka8=|8PU4sGa0yZ5bynnHb67NAD/JjNw= ssh-ed25519 ${ed25519}
|1|aqpaPOTThjoQGe2TR+LzxkOqql8=|2wUnzpsrklVLjZrqaJEZKpoWKzY= ssh-ed25519 ${ed25519}
|1|XFLF5OEqPPt/Wmfbx6PTBXXg0SE=|FRnEfsIRcYaVodHGznWQVk/aZiI= ssh-ed25519 ${ed25519}
`

const linesFor = (host: string, port: number, text: string): readonly string[] =>
  keysFor(nameInKnownHosts(host, port), text, 'kh').map(({ where, isRevoked }) => `${isRevoked ? '!' : ''}${where}`)

describe('keysFor', () => {
  it.each([
    ['vps.example.org', 22, ['kh:1']],
    ['VPS.example.org', 22, ['kh:1']],
    ['vps.example.org', 2222, ['kh:2']],
    ['::1', 2222, ['kh:3']],
    ['203.0.113.7', 22, ['kh:4']],
    ['vps.example.org', 2223, []],
    ['vps.example.com', 22, []]
  ] as const)('finds %s with port %i in hashed lines', (host, port, expected) => {
    expect(linesFor(host, port, hashed)).toEqual(expected)
  })

  it.each([
    ['a.example', 22, 'a.example', true],
    ['a.example', 22, 'b.example,a.example,203.0.113.7', true],
    ['a.example', 22, 'A.Example', true],
    ['a.example', 22, '*.example', true],
    ['a.example', 22, '?.example', true],
    ['ab.example', 22, '?.example', false],
    ['a.example', 22, '*', true],
    ['a.example', 22, '*.example,!a.example', false],
    ['a.example', 22, '!a.example,*.example', false],
    ['b.example', 22, '*.example,!a.example', true],
    ['a.example', 22, '!b.example', false],
    ['a.example', 2222, 'a.example', false],
    ['a.example', 2222, '[a.example]:2222', true],
    ['a.example', 2222, '[*.example]:2222', true],
    ['a.example', 22, '[a.example]:22', false],
    ['a.example', 22, 'xa.example', false],
    ['a.example', 22, 'a.examplex', false],
    ['a.example', 22, 'a*e*x*e', true],
    ['a.example', 22, `${'*a'.repeat(40)}b`, false]
  ] as const)('for %s with port %i, the line of %s counts: %s', (host, port, hosts, isFound) => {
    expect(linesFor(host, port, `${hosts} ssh-ed25519 ${ed25519} me@here`)).toEqual(isFound ? ['kh:1'] : [])
  })

  it.each([
    ['a comment', `# a.example ssh-ed25519 ${ed25519}`],
    ['an empty line', ''],
    ['a line without a key', 'a.example ssh-ed25519'],
    ['a line whose type is not that of the key', `a.example ssh-rsa ${ed25519}`],
    ['a line with bits and an exponent (SSH 1)', 'a.example 1024 35 1234567890'],
    ['a certificate authority', `@cert-authority a.example ssh-ed25519 ${ed25519}`],
    ['an unknown marker', `@wanted a.example ssh-ed25519 ${ed25519}`],
    ['a hash of another kind', `|2|x+f0Ab2y8/UywnPgv8co+0ZwDiM=|89NA8SoXW4dPmJIRcSCvJehuSns= ssh-ed25519 ${ed25519}`]
  ])('skips %s', (_what, line) => {
    expect(linesFor('a.example', 22, line)).toEqual([])
  })

  it('returns all lines of a host, with the revoked ones, from files with either end of line', () => {
    const text = `a.example ssh-ed25519 ${ed25519}\r\n\ta.example   ecdsa-sha2-nistp256 ${ecdsa}\r\n@revoked * ssh-ed25519 ${other}\r\n`
    expect(linesFor('a.example', 22, text)).toEqual(['kh:1', 'kh:2', '!kh:3'])
    expect(keysFor('a.example', text, 'kh').map(({ type }) => type)).toEqual([
      'ssh-ed25519',
      'ecdsa-sha2-nistp256',
      'ssh-ed25519'
    ])
  })
})

it('fingerprintOf is what ssh-keygen -lf prints', () => {
  expect(fingerprintOf(Buffer.from(ed25519, 'base64'))).toBe('SHA256:hlicyOUn7OMjqxDRNa9y9l8LbadNo2GmRPI73NoJeuU')
})

it('typeOf returns an empty text for bytes that are no key', () => {
  expect(typeOf(Buffer.from(ecdsa, 'base64'))).toBe('ecdsa-sha2-nistp256')
  expect(['', 'ff', '00000005ab', 'ffffffff00'].map((hex) => typeOf(Buffer.from(hex, 'hex')))).toEqual(['', '', '', ''])
})
