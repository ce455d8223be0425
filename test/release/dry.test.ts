import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const script = join(import.meta.dirname, '..', '..', 'scripts', 'release', 'dry.mjs')

it('every package can be published, and a project that installs it runs', { timeout: 900_000 }, () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, '--short', '--json'], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('✔ one core for all') })
  const { steps } = JSON.parse(stdout) as { readonly steps: readonly { readonly name: string; readonly ok: boolean }[] }
  expect(steps.filter(({ ok }) => !ok)).toEqual([])
  expect(steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['plain ESM with npm', 'require()']))
})

it('an unknown option is a usage error', () => {
  const { stderr, status } = spawnSync(process.execPath, [script, '--fast'], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('npm run release:dry') })
})
