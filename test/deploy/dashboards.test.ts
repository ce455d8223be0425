import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { dashboardSchema } from './support/dashboard-schema.js'
import { dashboards, inserted, labelsIn, metricsIn } from './support/dashboards.js'

const validate = new Ajv2020({ allErrors: true, strict: true }).compile(dashboardSchema)

/** Values that are as long as those of Grafana. */
const values = { job: 'a', instance: 'b', strategy: 'c', datasource: 'd', __rate_interval: '1m', __range: '1h' }

it('there are dashboards, each with a uid of its own', () => {
  expect(dashboards.map(({ uid }) => uid).toSorted()).toEqual(['postern-nodes', 'postern-servers'])
})

describe.each(dashboards.map((each) => [each.file, each] as const))('the dashboard %s', (_, { panels, ...rest }) => {
  const variables = rest.templating.list

  it('the dashboard has the form of Grafana', () => {
    validate(JSON.parse(JSON.stringify({ panels, ...rest, file: undefined })))
    expect((validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)).toEqual([])
  })

  it('the data source is a variable, and comes first', () => {
    expect(variables[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' })
  })

  it('each panel has its own id and title, and a description', () => {
    const unique = (each: readonly (string | number)[]): number => new Set(each).size
    expect(unique(panels.map(({ id }) => id))).toBe(panels.length)
    expect(unique(panels.map(({ title }) => title))).toBe(panels.length)
    const bare = panels.filter(({ type, description }) => type !== 'row' && (description ?? '') === '')
    expect(bare.map(({ title }) => title)).toEqual([])
  })

  it('no two panels overlap, and none leaves the grid', () => {
    const cells = panels.flatMap(({ title, gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (__, at) => ({ title, at: `${x + (at % w)},${y + Math.floor(at / w)}` }))
    )
    const taken = new Map<string, string>()
    const overlaps = cells.filter(({ title, at }) => {
      const other = taken.get(at)
      taken.set(at, title)
      return other !== undefined
    })
    expect(overlaps).toEqual([])
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([])
  })

  it('each query is bound to the chosen jobs and instances, and names metrics', () => {
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    expect(queries.length).toBeGreaterThan(20)
    for (const query of queries) expect(() => inserted(query, values)).not.toThrow()
    expect(queries.filter((query) => metricsIn(query).length === 0)).toEqual([])
    const bound = (query: string): number => query.split('job=~"$job",instance=~"$instance"').length - 1
    expect(queries.filter((query) => bound(query) !== metricsIn(query).length)).toEqual([])
  })
})

describe('the metrics in a query', () => {
  it.each([
    ['sum by (le, job) (rate(a_bucket{job=~"x|b"}[1m]))', ['a_bucket']],
    ['max by (instance) ((a{b="c"} == 1) * 4 or (d == 1))', ['a', 'd']],
    ['sum(increase(a[1h])) or vector(0)', ['a']],
    ['histogram_quantile(0.95, a)', ['a']],
    ['a and on (job, instance) b', ['a', 'b']]
  ])('the metrics in a query are found: %s', (query, metrics) => expect(metricsIn(query)).toEqual(metrics))
})

it('the labels in a query are found', () =>
  expect(labelsIn('sum by (le, job) (rate(a{b=~"c=\\"d",e!="f"}[1m])) and on (g) h')).toEqual([
    'b',
    'e',
    'le',
    'job',
    'g'
  ]))
