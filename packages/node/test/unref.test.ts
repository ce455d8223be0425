import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canRunLab, openLab } from '@postern/lab'
import { describe, expect, it } from 'vitest'

const support = await canRunLab()
const program = join(import.meta.dirname, 'support', 'unreferenced.mjs')

/** Runs the program at home. Resolves with what it prints, and how many mappings the router has after it has ended. */
async function run(mode: 'ref' | 'unref', ladder: string, releaseOnExit = false) {
  await using lab = await openLab('home')
  const state = await mkdtemp(join(tmpdir(), 'postern-'))
  const command = [process.execPath, program, mode, ladder, String(releaseOnExit)]
  const { stdout, stderr, code } = await lab.run('home', command, { timeoutMs: 25_000, env: { XDG_STATE_HOME: state } })
  await rm(state, { recursive: true, force: true })
  if (code !== 0) throw new Error(stderr)
  return { said: stdout.trim().split('\n'), rules: (await lab.rules()).length }
}

describe.skipIf(!support.ok)(
  `unref() in the lab${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 30_000 },
  () => {
    it.each(['pcp', 'nat-pmp', 'upnp'])(
      'after unref() %s renews while the program works, and does not keep it alive then; the mapping expires',
      async (ladder) => {
        expect(await run('unref', ladder)).toEqual({ said: ['renewed'], rules: 1 })
      }
    )

    it('without unref() the exposure keeps the program alive', async () => {
      expect(await run('ref', 'any')).toEqual({ said: ['renewed', 'stays'], rules: 1 })
    })

    it('with releaseOnExit a program that ends by itself leaves no mapping', async () => {
      expect(await run('unref', 'any', true)).toEqual({ said: ['renewed'], rules: 0 })
    })
  }
)
