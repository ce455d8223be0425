import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { canRunLab } from '@postern/lab'
import { describe, expect, it } from 'vitest'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (${support.reason})`
const root = join(import.meta.dirname, '..', '..')
const page = readFileSync(join(root, 'docs', 'reading-a-report.md'), 'utf8')
const reports = [...page.matchAll(/^```console\n\$ postern-lab run ([\w-]+) -- postern doctor\n([^]*?)^```/gm)].map(
  ([, topology = '', text = '']) => [topology, text] as const
)

/** What stays the same from run to run: not times, nor the port of the moment. */
const plain = (text: string): string =>
  text
    .trimEnd()
    .replaceAll(/ +[\d.]+ m?s\b/g, ' … ms')
    .replaceAll(/\/tcp\/\d+/g, '/tcp/…')

describe.skipIf(!support.ok)(`docs/reading-a-report.md${skipped}`, { timeout: 30_000 }, () => {
  it.each(reports)('shows what postern doctor says in the topology %s', (topology, text) => {
    const bin = (folder: string, file: string): string => join(root, 'packages', folder, 'bin', file)
    const doctor = [process.execPath, bin('cli', 'postern.js'), 'doctor', '--no-color']
    const args = [bin('lab', 'postern-lab.js'), 'run', topology, '--', ...doctor]
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(plain(stdout)).toBe(plain(text))
  })

  it('shows several', () => expect(reports.length).toBeGreaterThan(4))
})
