import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { deploy } from './support/dashboards.js'
import { tools, why } from './support/prometheus.js'

const folder = join(deploy, 'prometheus')
const guide = readFileSync(join(deploy, '..', 'docs', 'guides', 'alerts.md'), 'utf8')

interface Rule {
  readonly alert: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}
interface RuleFile {
  readonly groups: readonly { readonly rules: readonly Rule[] }[]
}
interface TestFile {
  readonly tests: readonly {
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly object[] }[]
  }[]
}

const filesIn = (name: string): readonly string[] => readdirSync(join(folder, name))
const read = (file: string): unknown => parse(readFileSync(join(folder, file), 'utf8'))
const rules = filesIn('rules').flatMap((file) =>
  (read(`rules/${file}`) as RuleFile).groups.flatMap((group) => group.rules)
)

describe.skipIf(!tools.ok)(`promtool${why}`, { timeout: 30_000 }, () => {
  const promtool = (...args: readonly string[]): { readonly status: number | null; readonly stdout: string } => {
    if (!tools.ok) throw new Error(tools.reason)
    const { status, stdout, stderr } = spawnSync(tools.promtool, args, { cwd: folder, encoding: 'utf8' })
    return { status, stdout: stdout + stderr }
  }

  it('promtool accepts the configuration and the rules', () => {
    const { status, stdout } = promtool('check', 'config', 'prometheus.yml')
    expect(stdout).toContain('SUCCESS: prometheus.yml is valid prometheus config file syntax')
    expect(stdout).toContain(`SUCCESS: ${filesIn('rules').length} rule files found`)
    expect(status).toBe(0)
  })

  it.each(filesIn('tests'))('the tests of the rules succeed: %s', (file) => {
    expect(promtool('test', 'rules', `tests/${file}`)).toEqual({
      status: 0,
      stdout: expect.stringContaining('SUCCESS')
    })
  })
})

describe('the alerts', () => {
  it('each alert has a severity, a summary, and a section in the guide', () => {
    expect(rules.length).toBeGreaterThan(15)
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
    for (const { alert, labels, annotations } of rules) {
      expect(alert).toMatch(/^Postern[A-Z]\w+$/)
      expect(labels['severity']).toMatch(/^(?:critical|warning|info)$/)
      expect(annotations['summary']).toMatch(/^(?:\{\{|[A-Z]).{20,}[^.]$/)
      expect(annotations['runbook']).toBe(`docs/guides/alerts.md#${alert.toLowerCase()}`)
    }
  })

  it('the guide has a section for each alert, and for no other', () => {
    const headings = [...guide.matchAll(/^### (Postern\w+)$/gm)].map(([, name]) => name)
    expect(new Set(headings)).toEqual(new Set(rules.map(({ alert }) => alert)))
  })

  it('each alert fires in one of its tests', () => {
    const cases = filesIn('tests').flatMap((file) =>
      (read(`tests/${file}`) as TestFile).tests.flatMap((test) => test.alert_rule_test)
    )
    const fires = new Set(cases.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname))
    expect(rules.map(({ alert }) => alert).filter((alert) => !fires.has(alert))).toEqual([])
  })
})
