import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { summarize, tallyFile } from '../../scripts/tallies.mjs'
import { packages, read, readJson, root } from './workspace.js'

interface Tasks {
  readonly tasks: Readonly<
    Record<string, { readonly inputs?: readonly string[]; readonly outputs?: readonly string[] }>
  >
}

const scriptsOf = (file: string): Readonly<Record<string, string>> =>
  (readJson(file) as { readonly scripts: Readonly<Record<string, string>> }).scripts

/** What the scripts of a package with a page for browsers do besides: the page is bundled, and has the types of a browser. */
const pages: Readonly<Record<string, { readonly build: string; readonly typecheck: string }>> = {
  status: { build: ' && node page/build.mjs', typecheck: ' && tsc -p page' }
}

describe('the scripts', () => {
  it.each(packages)(
    'the scripts of $manifest.name build, check and test that package alone',
    ({ folder, manifest }) => {
      expect(scriptsOf(`packages/${folder}/package.json`)).toMatchObject({
        build: `tsc -b && node ../../scripts/bundle.mjs .${pages[folder]?.build ?? ''}`,
        typecheck: `tsc -p test${pages[folder]?.typecheck ?? ''}`,
        lint: 'oxlint --type-aware --deny-warnings',
        test: `vitest run --root ../.. --project ${manifest.name}`,
        check: expect.stringMatching(/^publint --strict .* && attw --pack \. /)
      })
      expect(readJson(`packages/${folder}/test/tsconfig.json`)).toEqual({
        extends: '../../../tsconfig.test.json',
        include: ['**/*.ts', '**/*.mjs']
      })
    }
  )

  it.each(['test', 'interop'])('the scripts of %s/ have the names that those of packages have', (folder) => {
    expect(Object.keys(scriptsOf(`${folder}/package.json`))).toEqual(
      expect.arrayContaining(['typecheck', 'lint', 'test'])
    )
  })

  it('each script of the root sets up the clone once at most, and is short', () => {
    const scripts = Object.entries(scriptsOf('package.json'))
    const wrong = scripts.filter(([, script]) => script.split('run.mjs').length > 2 || script.length > 100)
    expect(wrong).toEqual([])
  })
})

describe('the tasks of turbo', () => {
  const folders = ['.', 'test', 'interop', ...packages.map(({ folder }) => `packages/${folder}`)]
  const files = folders.map((folder) => join(folder, 'turbo.json')).filter((file) => existsSync(join(root, file)))

  it('a cached result of tests comes with its tally', () => {
    const { tasks } = readJson('turbo.json') as Tasks
    const tests = Object.keys(tasks).filter((task) => /^test\b/.test(task))
    expect(tests).toEqual(['test', 'test:house'])
    for (const task of tests) expect(tasks[task]?.outputs).toEqual([tallyFile('', task)])
  })

  it.each(files)('the files that %s names as inputs exist', (file) => {
    const { tasks } = readJson(file) as Tasks
    const inputs = Object.values(tasks).flatMap((task) => task.inputs ?? [])
    const fixed = inputs.flatMap((input) => /^\$TURBO_ROOT\$\/([^*{]*)(?:\/|$)/.exec(input)?.[1] ?? [])
    expect(fixed.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})

describe('the last line of a run', () => {
  interface Task {
    readonly taskId: string
    readonly tally?: { readonly passed: number; readonly failed: number; readonly skipped: number }
    readonly cached?: boolean
    readonly exitCode?: number
    readonly command?: string
  }

  /** What is printed after tasks of these packages, which left these tallies behind. */
  function linesAfter(tasks: readonly Task[]): readonly string[] {
    const folder = mkdtempSync(join(tmpdir(), 'postern-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const done = tasks.map(({ taskId, tally, cached = false, exitCode = 0, command = 'vitest run' }) => {
      const [name = '', task = ''] = taskId.split('#')
      const file = tallyFile(join(folder, name), task)
      mkdirSync(dirname(file), { recursive: true })
      if (tally !== undefined) writeFileSync(file, JSON.stringify(tally))
      const ran = cached ? {} : { execution: { exitCode } }
      return {
        taskId,
        task,
        package: name,
        directory: name,
        command,
        cache: { status: cached ? 'HIT' : 'MISS' },
        ...ran
      }
    })
    return summarize(folder, done)
  }

  it('the last line adds up the tests that ran and those from the cache, and the lines above name both', () => {
    expect(
      linesAfter([
        { taskId: 'a#build' },
        { taskId: 'a#test', tally: { passed: 3, failed: 0, skipped: 1 } },
        { taskId: 'b#test', tally: { passed: 20, failed: 0, skipped: 2 }, cached: true },
        { taskId: 'b#test:house', tally: { passed: 5, failed: 0, skipped: 0 }, cached: true }
      ])
    ).toEqual([
      'Tested now: a.',
      'From the cache, unchanged since they passed: 27 tests of b, b (house).',
      '',
      '28 passed, 0 failed, 3 skipped'
    ])
  })

  it('the last line counts failed tests, and does not count their task again', () => {
    expect(linesAfter([{ taskId: 'a#test', tally: { passed: 3, failed: 2, skipped: 0 }, exitCode: 1 }]).at(-1)).toBe(
      '3 passed, 2 failed'
    )
  })

  it('the last line counts a step that failed without a failed test as one failure', () => {
    const lines = linesAfter([
      { taskId: 'a#lint', exitCode: 1 },
      { taskId: 'a#test', exitCode: 1 },
      { taskId: 'b#test', tally: { passed: 4, failed: 0, skipped: 0 }, exitCode: 1 }
    ])
    expect(lines).toContainEqual(expect.stringMatching(/^Failed: a#lint, a#test, b#test\./))
    expect(lines.at(-1)).toBe('4 passed, 3 failed')
  })

  it('the last line leaves out tasks that a package does not have', () => {
    expect(linesAfter([{ taskId: 'a#tools', command: '<NONEXISTENT>', exitCode: 1 }])).toEqual([
      '',
      '0 passed, 0 failed'
    ])
  })
})

describe.skipIf(process.platform === 'win32')('npm test', () => {
  interface Outcome {
    readonly status: number | null
    readonly lines: readonly string[]
  }

  /** Runs it with a turbo that prints its arguments, leaves a tally of one package behind, and ends with this code. */
  function test(env: NodeJS.ProcessEnv, args: readonly string[] = [], code = 0): Outcome {
    const folder = mkdtempSync(join(tmpdir(), 'postern-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const task = { taskId: 'test#test', task: 'test', package: 'test', directory: 'test', command: 'vitest run' }
    const summary = JSON.stringify({ tasks: [{ ...task, cache: { status: 'MISS' }, execution: { exitCode: code } }] })
    const tally = (passed: number): string => `mkdir -p test/.cache/tally
      echo '{ "passed": ${passed}, "failed": 0, "skipped": 1 }' > test/.cache/tally/test.json`
    const turbo = `#!/bin/sh
      echo "$@"
      test -e test/.cache/tally/test.json && echo 'an old tally is left'
      ${tally(7)}
      mkdir -p .turbo/runs
      echo '${summary}' > .turbo/runs/one.json
      exit ${code}`
    mkdirSync(join(folder, 'packages'))
    mkdirSync(join(folder, 'scripts'))
    for (const file of ['test.mjs', 'tallies.mjs']) cpSync(join(root, 'scripts', file), join(folder, 'scripts', file))
    writeFileSync(join(folder, 'turbo'), turbo, { mode: 0o755 })
    spawnSync('sh', ['-c', `${tally(99)}; mkdir -p .turbo/runs; echo '{}' > .turbo/runs/old.json`], { cwd: folder })
    const { status, stdout } = spawnSync(process.execPath, [join(folder, 'scripts', 'test.mjs'), ...args], {
      encoding: 'utf8',
      env: { PATH: `${folder}:${process.env['PATH']}`, ...env }
    })
    return { status, lines: stdout.trimEnd().split('\n') }
  }

  it('npm test starts turbo once with the arguments of the caller, and counts the tests of this run only', () => {
    const { status, lines } = test({}, ['--filter=@postern/pcp'])
    expect(status).toBe(0)
    expect(lines[0]).toMatch(/^run format unused lint:rest build typecheck lint check .* --filter=@postern\/pcp$/)
    expect(lines[0]).not.toContain('--force')
    expect(lines.slice(1)).toEqual(['', 'Tested now: test.', '', '7 passed, 0 failed, 1 skipped'])
  })

  it('npm test takes nothing from the cache in CI', () => {
    expect(test({ CI: 'true' }).lines[0]).toContain(' --force')
    expect(read('.ci/run')).toMatch(/^CI=true npm test\b/m)
  })

  it('npm test ends with the exit code of turbo, and never with 0 failed after an error', () => {
    const { status, lines } = test({}, [], 3)
    expect(status).toBe(3)
    expect(lines.at(-1)).toBe('7 passed, 1 failed, 1 skipped')
  })
})

describe.skipIf(process.platform === 'win32')('scripts/run.mjs', () => {
  it('the set-up installs once, and again after a manifest or the lock file has changed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const write = (file: string, text: string, mode?: number): void => {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text, { mode })
    }
    cpSync(join(root, 'scripts', 'run.mjs'), join(folder, 'scripts', 'run.mjs'))
    write('toolchain/package-lock.json', '{}')
    write('toolchain/node_modules/.package-lock.json', '{}')
    write('toolchain/node_modules/.bin/pnpm', '#!/bin/sh\necho "$1" >> installed\n', 0o755)
    for (const each of ['packages/a', 'examples/b', 'templates/c']) write(`${each}/package.json`, '{}')
    write('pnpm-lock.yaml', 'one')

    const installs = (): number => {
      const { status } = spawnSync(process.execPath, [join(folder, 'scripts', 'run.mjs'), 'true'])
      expect(status).toBe(0)
      return readFileSync(join(folder, 'installed'), 'utf8').split('\n').length - 1
    }
    expect([installs(), installs()]).toEqual([1, 1])
    write('packages/a/package.json', '{ "name": "a" }')
    expect([installs(), installs()]).toEqual([2, 2])
    write('pnpm-lock.yaml', 'two')
    expect([installs(), installs()]).toEqual([3, 3])
  })
})
