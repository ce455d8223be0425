import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { LabError, preparePrometheus } from '../src/index.js'

const run = promisify(execFile)
const prepared = await preparePrometheus().then(
  (programs) => ({ ok: true, ...programs }) as const,
  (error: unknown) => {
    if (!(error instanceof LabError)) throw error
    return { ok: false, reason: error.message } as const
  }
)

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'postern-lab-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function setenv(name: string, value: string): void {
  vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
}

describe.skipIf(!prepared.ok)(`Prometheus${prepared.ok ? '' : ` (skipped: ${prepared.reason})`}`, () => {
  const { prometheus = '', promtool = '' } = prepared.ok ? prepared : {}

  it('both programs run', async () => {
    for (const program of [prometheus, promtool]) {
      const { stdout } = await run(program, ['--version'])
      expect(stdout).toMatch(/^(?:prometheus|promtool), version [23]\.\d+\.\d+/)
    }
  })

  it('the second call fetches nothing', async () => {
    const told: string[] = []
    expect(await preparePrometheus({ onProgress: (line) => told.push(line) })).toEqual({ prometheus, promtool })
    expect(told).toEqual([])
  })

  it('POSTERN_LAB_PROMETHEUS names programs that are installed', async () => {
    setenv('POSTERN_LAB_PROMETHEUS', folder)
    await symlink(prometheus, path.join(folder, 'prometheus'))
    await expect(preparePrometheus()).rejects.toThrow(`There is no promtool in ${folder}.`)
    await symlink(promtool, path.join(folder, 'promtool'))
    expect(await preparePrometheus()).toEqual({
      prometheus: path.join(folder, 'prometheus'),
      promtool: path.join(folder, 'promtool')
    })
  })
})

describe('fetching Prometheus', () => {
  it('an aborted call rejects with the reason, and leaves nothing behind', async () => {
    const cache = path.join(folder, 'cache')
    setenv('POSTERN_LAB_CACHE', cache)
    const reason = new Error('no time')
    await expect(preparePrometheus({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(await readdir(cache)).toEqual([])
  })
})
