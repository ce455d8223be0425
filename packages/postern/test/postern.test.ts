import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const folder = join(import.meta.dirname, '..')

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command of this package, or that of @postern/cli. */
function run(name: 'postern' | 'cli', ...args: readonly string[]): Outcome {
  const program = join(folder, '..', name, 'bin', 'postern.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

it.each([['--version'], ['--help'], ['doctor', '--help'], ['docter'], ['map', '0']])(
  'postern %s %s prints and ends as the command of @postern/cli does',
  (...args) => {
    const outcome = run('postern', ...args)
    expect(outcome).toEqual(run('cli', ...args))
    expect(`${outcome.stdout}${outcome.stderr}`).not.toBe('')
  }
)

it('the package takes exactly the version of @postern/cli that it is released with', () => {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(folder, '..', '..', file), 'utf8'))
  const cli = read('packages/cli/package.json') as { readonly version: string; readonly engines: object }
  expect(read('packages/postern/package.json')).toMatchObject({
    version: cli.version,
    engines: cli.engines,
    dependencies: { '@postern/cli': 'workspace:*' }
  })
  expect(read('.changeset/config.json')).toMatchObject({ fixed: [['@postern/cli', 'postern']] })
})
