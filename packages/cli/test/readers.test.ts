import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/postern.js', import.meta.url))

let state = ''
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'postern-'))
})
afterEach(async () => {
  await rm(state, { recursive: true, force: true })
})

describe.skipIf(process.platform !== 'linux')('a command without a reader', () => {
  const commands: readonly (readonly [code: number, args: string])[] = [
    [0, '--help'],
    [0, '--version'],
    [0, 'map --help'],
    [2, 'map'],
    [12, 'doctor --via none'],
    [12, 'doctor --via none --json'],
    [0, 'tunnel id']
  ]
  it.each(commands)(
    'a command without a reader ends with %i and without a stack trace: %s',
    { timeout: 30_000 },
    (code, args) => {
      const env = { ...process.env, XDG_STATE_HOME: state }
      const shell = '{ "$0" "$@" 2>&3; echo "code $?" >&3; } | true'
      const { output } = spawnSync('sh', ['-c', shell, process.execPath, bin, ...args.split(' ')], {
        encoding: 'utf8',
        env,
        stdio: ['ignore', 'pipe', 'pipe', 'pipe']
      })
      expect(output[3]).toContain(`code ${code}\n`)
      expect(output[3]).not.toContain('    at ')
    }
  )
})
