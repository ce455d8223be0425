import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/postern.js', import.meta.url))

const run = (...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [bin, ...args], (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr })
    })
  })

describe('the command line', () => {
  it.each([[], ['doctor'], ['map']])('explains itself with examples and exit codes: %s --help', async (...args) => {
    const { code, stdout } = await run(...args.flat(), '--help')
    expect(code).toBe(0)
    expect(stdout).toContain('Examples:')
    expect(stdout).toContain('Exit codes:')
  })

  it('tells its version', async () => {
    expect((await run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it.each([
    [['fly'], 'fly'],
    [['map'], 'port'],
    [['map', '0'], '8080/tcp'],
    [['map', '65536'], '8080/tcp'],
    [['map', '80/sctp'], '8080/tcp'],
    [['map', '8080', '--lifetime', '2 weeks'], '30m'],
    [['map', '8080', '--via', 'upnp,carrier-pigeon'], 'carrier-pigeon'],
    [['map', '8080', '--via', 'pcp:router'], 'no IP address'],
    [['map', '8080', '--via', 'manual:1.2.3.4'], 'manual:<ip>:<port>'],
    [['map', '8080', '--external-port', 'x'], '65535'],
    [['doctor', '--frobnicate'], 'frobnicate']
  ])('%j is a usage error: exit 2, and says what is wanted', async (args, mention) => {
    const { code, stdout, stderr } = await run(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(mention)
  })
})
