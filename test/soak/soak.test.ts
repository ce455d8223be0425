import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { formatReport, judge } from '../../soak/report.mjs'

const calm = {
  heapMb: 20,
  rssMb: 120,
  descriptors: 33,
  timers: 20,
  sockets: 8,
  listeners: 4,
  unhandled: 0,
  exposed: 1,
  announced: 1
}
const stop = { stoppedMs: 12, endedByItself: true }
const rule = { family: 4, protocol: 'tcp', externalPort: 8080, internalAddress: '192.168.1.2', internalPort: 8080 }

describe('the report of a soak', () => {
  it('the report of a soak finds nothing wrong if nothing has grown', () => {
    expect(judge({ before: calm, after: { ...calm, heapMb: 24 }, left: [], stop }).problems).toEqual([])
  })

  it.each([
    ['heap', { heapMb: 60 }],
    ['memory', { rssMb: 400 }],
    ['descriptors', { descriptors: 90 }],
    ['timers', { timers: 90 }],
    ['sockets', { sockets: 40 }],
    ['listeners', { listeners: 5 }],
    ['unhandled rejections', { unhandled: 1 }],
    ['an address that is gone', { exposed: 0 }],
    ['an announcement that is gone', { announced: 0 }]
  ])('the report of a soak names %s', (_name, change) => {
    expect(judge({ before: calm, after: { ...calm, ...change }, left: [], stop }).problems).toHaveLength(1)
  })

  it('the report of a soak names what is left in the router, and a process that does not end', () => {
    const result = { before: calm, after: calm, left: [rule], stop: { stoppedMs: 9000, endedByItself: false } }
    const judged = judge(result)
    expect(judged.problems).toHaveLength(3)
    const text = formatReport(judged, { ...result, counts: { reboot: 2 }, minutes: 1, seed: 7 })
    expect(text).toContain('seed 7: 2 reboot')
    expect(text).toContain('left in the router: tcp 8080 to 192.168.1.2:8080')
  })
})

describe.each(['soak', 'fuzz'])('npm run %s', (name) => {
  const program = fileURLToPath(new URL(`../../${name}/index.mjs`, import.meta.url))
  const run = (...args: readonly string[]): { readonly status: number | null; readonly stdout: string } =>
    spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' })

  it('the command has help with examples', () => {
    const { status, stdout } = run('--help')
    expect(status).toBe(0)
    expect(stdout).toContain('Examples:')
  })

  it.each([['--what'], ['one'], ['1', '2'], ['--seed', 'x', '1']])('the command ends with 2 for %s', (...args) => {
    expect(run(...args).status).toBe(2)
  })
})
