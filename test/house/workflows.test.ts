import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { read, root } from './workspace.js'

const folder = '.github/workflows'
const workflows = readdirSync(join(root, folder)).filter((file) => /\.ya?ml$/.test(file))

/** Returns the text of each job by its name: the lines that are indented below `jobs:`. */
function jobsOf(text: string): ReadonlyMap<string, string> {
  const [, jobs = ''] = text.split(/^jobs:\n/m)
  const parts = jobs.split(/^ {2}(?=[\w-]+:\n)/m).slice(1)
  return new Map(parts.map((part) => [part.slice(0, part.indexOf(':')), part]))
}

/** Returns the steps of a job that use an action, with the lines that belong to them. */
const actionsOf = (text: string): readonly string[] =>
  text.split(/^ *- (?=uses:|name:|run:)/m).filter((step) => /^ *uses:/m.test(step))

describe.each(workflows)('the workflow %s', (file) => {
  const text = read(`${folder}/${file}`)
  const jobs = jobsOf(text)

  it('the workflow has jobs, and no event that runs foreign code with rights', () => {
    expect(jobs.size).toBeGreaterThan(0)
    expect(text).not.toContain('pull_request_target')
    expect(text).not.toContain('workflow_run')
  })

  it('the workflow names each action by its commit, with the version beside it', () => {
    const uses = [...text.matchAll(/^ *(?:- )?uses: *(.*)$/gm)].map(([, used = '']) => used)
    expect(uses.length).toBeGreaterThan(0)
    expect(uses.filter((used) => !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(used))).toEqual([])
  })

  it('the workflow gives no right to all jobs, and to each job its own', () => {
    expect(text).toMatch(/^permissions: \{\}$/m)
    const without = [...jobs].filter(([, job]) => !/^ {4}permissions:/m.test(job)).map(([name]) => name)
    expect(without).toEqual([])
  })

  it('the workflow leaves no token in a checkout', () => {
    const checkouts = actionsOf(text).filter((step) => step.includes('actions/checkout@'))
    expect(checkouts.length).toBeGreaterThan(0)
    expect(checkouts.filter((step) => !step.includes('persist-credentials: false'))).toEqual([])
  })

  it('the workflow runs no tests in a job with a secret or a right to write', () => {
    const trusted = [...jobs].filter(([, job]) => /secrets\.|: write/.test(job))
    expect(trusted.filter(([, job]) => /npm (?:run )?test/.test(job)).map(([name]) => name)).toEqual([])
  })
})

describe('the workflow release.yml', () => {
  const jobs = jobsOf(read(`${folder}/release.yml`))
  const withRight = (right: string): readonly string[] =>
    [...jobs].filter(([, job]) => job.includes(`${right}: write`)).map(([name]) => name)

  it('npm and the pull request have a job each, and no job has the rights of both', () => {
    expect(withRight('id-token')).toEqual(['publish'])
    expect(withRight('pull-requests')).toEqual(['version'])
    expect(withRight('contents')).toEqual(['version', 'publish'])
    expect([...jobs].filter(([, job]) => job.includes('secrets.')).map(([name]) => name)).toEqual(['publish'])
  })

  it('a release waits for the tests', () => {
    for (const name of ['version', 'publish']) expect(jobs.get(name)).toMatch(/^ {4}needs: \[test, mode\]$/m)
  })

  it('no token is written where trusted publishing would find an empty one', () => {
    expect(jobs.get('publish')).not.toMatch(/^ *(?:registry-url|NODE_AUTH_TOKEN):/m)
  })
})

describe('what is installed', () => {
  it('installed packages come from the lock file and are at least three days old', () => {
    const [, minutes] = /^minimumReleaseAge: (\d+)$/m.exec(read('pnpm-workspace.yaml')) ?? []
    expect(Number(minutes)).toBeGreaterThanOrEqual(3 * 24 * 60)
    expect(read('scripts/run.mjs')).toContain('--frozen-lockfile')
  })
})
