import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { canRunLab, findTopology, openLab, withStun } from '@postern/lab'
import { describe, expect, it } from 'vitest'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (${support.reason})`
const root = join(import.meta.dirname, '..', '..')
const page = readFileSync(join(root, 'docs', 'guides', 'reading-a-report.md'), 'utf8')
const shown = /^```console\n\$ postern-lab run ([\w-]+)( --stun)? -- postern doctor(.*)\n([^]*?)^```/gm
const reports = [...page.matchAll(shown)].map(([, topology = '', stun = '', more = '', text = '']) => ({
  topology,
  hasStun: stun !== '',
  more: more.split(' ').filter((each) => each !== ''),
  text
}))

/** Returns the part of a report that is the same in every run: without times and the current port. */
const plain = (text: string): string =>
  text
    .trimEnd()
    .replaceAll(/ +[\d.]+ m?s\b/g, ' … ms')
    .replaceAll(/\/tcp\/\d+/g, '/tcp/…')
    // In the picture. The ports have five digits, on which its widths depend.
    .replaceAll(/:\d{5}\b/g, ':…')

describe.skipIf(!support.ok)(`docs/guides/reading-a-report.md${skipped}`, { timeout: 30_000 }, () => {
  const bin = (folder: string, file: string): string => join(root, 'packages', folder, 'bin', file)
  const doctor = [process.execPath, bin('cli', 'postern.js'), 'doctor', '--no-color']

  it.each(reports.filter(({ hasStun }) => !hasStun))(
    'shows what postern doctor says in the topology $topology',
    ({ topology, more, text }) => {
      const args = [bin('lab', 'postern-lab.js'), 'run', topology, '--', ...doctor, ...more]
      const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
      expect(plain(stdout)).toBe(plain(text))
    }
  )

  it.each(reports.filter(({ hasStun }) => hasStun))(
    'shows what postern doctor says in the topology $topology with STUN servers',
    async ({ topology, more, text }) => {
      const plan = findTopology(topology)
      if (plan === undefined) throw new Error(`no topology is named ${topology}`)
      await using lab = await openLab(withStun(plan))
      const { stdout } = await lab.run('home', [...doctor, ...more], { timeoutMs: 20_000 })
      expect(plain(stdout)).toBe(plain(text))
    }
  )

  it('the page shows several reports', () => expect(reports.length).toBeGreaterThan(4))
})
