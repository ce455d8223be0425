import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { support, why as whyNoLab } from '../../packages/cli/test/support/in-lab.js'
import {
  type Dashboard,
  dashboards,
  deploy,
  inserted,
  labelsIn,
  metricsIn,
  type Variable
} from './support/dashboards.js'
import { type Server, startPrometheus, tools, until, why } from './support/prometheus.js'
import { openScene, type Scene, type Targets } from './support/scene.js'

/** Panels that show nothing in half a minute without a fault, although their metrics exist. */
const mayBeEmpty = ['Lapses, by strategy and code', 'AutoNAT requests over a limit']

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)

interface Config {
  readonly global: object
  readonly scrape_configs: readonly { readonly job_name: string; readonly metric_relabel_configs?: object }[]
}

/** Returns deploy/prometheus/prometheus.yml with other targets, and intervals of a second. */
async function testConfig(targets: Targets): Promise<object> {
  const config = parse(await readFile(join(deploy, 'prometheus', 'prometheus.yml'), 'utf8')) as Config
  expect(config.scrape_configs.map(({ job_name }) => job_name).toSorted()).toEqual(Object.keys(targets).toSorted())
  return {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [join(deploy, 'prometheus', 'rules', '*.yml')],
    scrape_configs: config.scrape_configs.map(({ job_name, metric_relabel_configs }) => ({
      job_name,
      static_configs: [{ targets: targets[job_name] }],
      ...(metric_relabel_configs && { metric_relabel_configs })
    }))
  }
}

const isReady = tools.ok && support.ok

describe.skipIf(!isReady)(`the queries, in Prometheus${why}${whyNoLab}`, { timeout: 60_000 }, () => {
  let folder = ''
  let scene: Scene | undefined
  let server: Server
  let names: ReadonlySet<string>
  let labels: ReadonlySet<string>
  const cleanups: AsyncDisposable[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-prometheus-'))
    scene = await openScene()
    cleanups.push(scene)
    const config = join(folder, 'prometheus.yml')
    // JSON is YAML.
    await writeFile(config, JSON.stringify(await testConfig(scene.targets)))
    if (!tools.ok) throw new Error(tools.reason)
    server = await startPrometheus(tools.prometheus, config, folder)
    cleanups.push(server)
    await until(
      async () => (await server.query('up')).map(({ value: [, text] }) => text),
      (ups) => ups.length === Object.values(scene?.targets ?? {}).flat().length && ups.every((each) => each === '1'),
      20
    )
    const shows = (query: string): Promise<unknown> =>
      until(
        () => server.query(query),
        (found) => found.length > 0,
        30
      )
    await scene.play(() => shows('postern_peer_upgrades_total'))
    await shows('sum(increase(postern_peer_upgrades_total[5m])) > 0')
    await shows('increase(postern_lease_renewals_total[5m])')
    // Witnesses are asked again after the reboot.
    await shows(
      'sum(increase(postern_strategy_request_duration_seconds_count{postern_verb!="discover",postern_outcome="success"}[5m])) > 0'
    )
    await shows('postern_strategy_request_duration_seconds_count{error_type!=""}')
    names = new Set(Object.keys((await server.ask('metadata')) as object))
    labels = new Set((await server.ask('labels')) as readonly string[])
  }, 120_000)
  afterAll(async () => {
    for (const each of cleanups.toReversed()) await each[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** Resolves with the values of a variable, joined as Grafana joins them for "All". */
  async function valueOf({ name, definition = '' }: Variable, before: Readonly<Record<string, string>>) {
    const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
    const values = await server.ask(`label/${label}/values`, { 'match[]': inserted(selector, before) })
    expect(values, `$${name}`).not.toEqual([])
    return (values as readonly string[])
      .map(escaped)
      .map((each) => each.replaceAll('\\', '\\\\'))
      .join('|')
  }

  async function valuesOf({ templating }: Dashboard): Promise<Readonly<Record<string, string>>> {
    let values: Readonly<Record<string, string>> = { __rate_interval: '5m', __range: '5m' }
    for (const variable of templating.list) {
      if (variable.type === 'query') values = { ...values, [variable.name]: await valueOf(variable, values) }
    }
    return values
  }

  const exists = (name: string): boolean =>
    name === 'up' || names.has(name) || names.has(name.replace(/_(bucket|sum|count)$/, ''))
  /** Returns the metrics and labels of queries that no server and no node has. */
  const unknownIn = (queries: readonly string[]): readonly string[] => [
    ...queries.flatMap(metricsIn).filter((name) => !exists(name)),
    ...queries.flatMap(labelsIn).filter((name) => !labels.has(name))
  ]

  it.each(dashboards.map((each) => [each.title, each] as const))(
    '%s: Prometheus accepts each query, and each panel shows data',
    async (_, dashboard) => {
      const values = await valuesOf(dashboard)
      const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
      expect(unknownIn(queries)).toEqual([])
      const empty: string[] = []
      for (const { title, targets = [] } of dashboard.panels) {
        for (const { refId, expr, legendFormat } of targets) {
          const series = await server.query(inserted(expr, values))
          const isEmpty = series.every(({ value: [, text] }) => text === 'NaN')
          if (isEmpty) empty.push(targets.length === 1 ? title : `${title} ${refId}`)
          const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
          const missing = shown.filter((label) => !series.some(({ metric }) => label in metric))
          if (!isEmpty) expect({ title, missing }).toEqual({ title, missing: [] })
        }
      }
      expect(empty.filter((title) => !mayBeEmpty.includes(title))).toEqual([])
    }
  )

  it('the panels that may be empty exist', () => {
    const titles = new Set(dashboards.flatMap(({ panels }) => panels.map(({ title }) => title)))
    expect(mayBeEmpty.filter((title) => !titles.has(title))).toEqual([])
  })

  it('the labels of libp2p become those of the dashboards', async () => {
    const found = await server.query(
      'postern_strategy_request_duration_seconds_count{postern_strategy="pcp",postern_verb="map",postern_outcome="success"}'
    )
    // postern peer, postern map, and the program with the metrics of libp2p.
    expect(new Set(found.map(({ metric }) => metric['instance']))).toEqual(new Set(scene?.targets['postern-node']))
    const verdicts = await server.query('sum by (instance) (postern_reachability_verdict)')
    expect(verdicts.map(({ value: [, text] }) => text)).toEqual(['1', '1', '1'])
    const single = 'strategy_verb_outcome_type|strategy_type|strategy_vote|strategy_upgrade|type_state'
    expect([...labels].filter((label) => new RegExp(`^(?:${single})$`).test(label))).toEqual([])
  })

  it('Prometheus evaluates each alert rule without an error, over metrics and labels that exist', async () => {
    interface Rule {
      readonly name: string
      readonly query: string
      readonly health: string
      readonly lastError?: string
    }
    const read = async (): Promise<readonly Rule[]> => {
      const { groups } = (await server.ask('rules')) as {
        readonly groups: readonly { readonly rules: readonly Rule[] }[]
      }
      return groups.flatMap(({ rules }) => rules)
    }
    const rules = await until(read, (each) => each.every(({ health }) => health !== 'unknown'), 20)
    expect(rules.length).toBeGreaterThan(15)
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
    expect(unknownIn(rules.map(({ query }) => query))).toEqual([])
    const firing = await server.query('ALERTS{alertstate="firing"}')
    expect(firing.map(({ metric }) => metric['alertname'])).toEqual([])
  })
})
