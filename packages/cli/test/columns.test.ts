import { spawnSync } from 'node:child_process'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { describe as describeFindings } from '../src/commands/doctor/text.js'
import { line } from '../src/shared/output.js'
import { colorsFor } from '../src/shared/terminal.js'

const index = fileURLToPath(new URL('../dist/index.js', import.meta.url))
const commands = [
  [],
  ['doctor'],
  ['map'],
  ['relay'],
  ['peer'],
  ['ping'],
  ['tunnel'],
  ['tunnel', 'id'],
  ['tunnel', 'listen'],
  ['tunnel', 'connect']
]

/** Returns lines that are longer than the terminal although they could be wrapped: not command lines, and not single
 * words. */
const tooWide = (text: string, columns: number): readonly string[] =>
  text.split('\n').filter((each) => each.length > columns && !/^\s*\$ /.test(each) && /\S\s+\S/.test(each))

const words = (text: string): string => text.replace(/\s+/g, ' ').trim()

function help(args: readonly string[], columns: number | undefined): string {
  const terminal = columns === undefined ? '' : `Object.assign(process.stdout, { isTTY: true, columns: ${columns} })`
  const script = `${terminal}; const { run } = await import(${JSON.stringify(index)}); await run(${JSON.stringify([...args, '--help'])})`
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout
}

describe('the help', { timeout: 30_000 }, () => {
  it.each([40, 60, 80, 200])('the help fits into %i columns with the same text', (columns) => {
    for (const args of commands) {
      const text = help(args, columns)
      expect(text).toContain('Usage: postern')
      expect(tooWide(text, columns)).toEqual([])
      expect(words(text)).toBe(words(help(args, undefined)))
    }
  })
})

const report = {
  schemaVersion: 1,
  verdict: 'private',
  cause: 'carrier-nat',
  advice: ['Ask the provider for a public IPv4 address, use IPv6, or add a relay: the provider shares one address.'],
  gateway: { address: 'fe80::1234:5678:9abc:def0%enp0s31f6', interface: 'enp0s31f6', description: 'next hop of a VPN' },
  externalAddresses: ['/ip6/2a00:1234:5678:9abc:def0:1234:5678:9abc/tcp/65535'],
  nat: null,
  strategies: [
    {
      name: 'upnp',
      kind: 'mapper',
      rank: 0,
      state: 'failed',
      tookMs: 12,
      reason: { code: 'NO_REPLY', message: 'nothing answered in time, although the question was repeated four times' }
    }
  ],
  candidates: []
} as const

describe.each([40, 60, 80, 200, undefined])('in %s columns', (columns) => {
  function written(text: string): string {
    let all = ''
    const stream = new Writable({
      write(chunk, _, done) {
        all += String(chunk)
        done()
      }
    })
    line(Object.assign(stream, columns === undefined ? {} : { isTTY: true, columns }), text)
    return all
  }
  const shown = { readBack: undefined, hairpin: 'unknown' } as const
  const text = describeFindings({ report, shown, witnesses: [], dryRun: true, columns }, colorsFor({}))

  it('the findings of doctor are complete and fit the terminal', () => {
    const lines = written(text)
    expect(words(lines)).toBe(words(text))
    expect(
      tooWide(lines.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g'), ''), columns ?? 1e9)
    ).toEqual([])
  })

  it('a JSON object is one line', () => {
    const json = JSON.stringify({ text: 'word '.repeat(100) })
    expect(written(json)).toBe(`${json}\n`)
  })

  it('a command line for copying is not wrapped', () => {
    const command = `$ postern doctor --via ${'manual:203.0.113.7:8080,'.repeat(4)} --port 8443`
    expect(written(command)).toBe(`${command}\n`)
  })
})
