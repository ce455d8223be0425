/** What a dashboard of this project has, in the words of Grafana's dashboard JSON model. Unknown fields are refused. */
const text = { type: 'string', minLength: 1 }
const datasource = closed({ type: { const: 'prometheus' }, uid: { const: '${datasource}' } })
const gridPos = closed({
  x: { type: 'integer', minimum: 0, maximum: 23 },
  y: { type: 'integer', minimum: 0 },
  w: { type: 'integer', minimum: 1, maximum: 24 },
  h: { type: 'integer', minimum: 1 }
})
const target = closed(
  { refId: { type: 'string', pattern: '^[A-Z]$' }, datasource, expr: text, legendFormat: text },
  { instant: { type: 'boolean' }, range: { type: 'boolean' } }
)
/** Units of Grafana that the dashboards use. */
const unit = { enum: ['none', 'short', 'ops', 'percentunit', 'bytes', 'Bps', 's'] }

const row = closed({
  id: { type: 'integer', minimum: 1 },
  type: { const: 'row' },
  title: text,
  collapsed: { type: 'boolean' },
  gridPos,
  panels: { type: 'array', maxItems: 0 }
})
const panel = closed({
  id: { type: 'integer', minimum: 1 },
  type: { enum: ['timeseries', 'stat', 'gauge', 'state-timeline'] },
  title: text,
  description: text,
  datasource,
  gridPos,
  fieldConfig: closed({
    defaults: { type: 'object', required: ['unit'], properties: { unit } },
    overrides: { type: 'array' }
  }),
  options: { type: 'object' },
  targets: { type: 'array', items: target, minItems: 1 }
})

const shared = { name: text, label: text, hide: { const: 0 }, regex: { const: '' }, current: { type: 'object' } }
const sourceVariable = closed({
  ...shared,
  type: { const: 'datasource' },
  query: { const: 'prometheus' },
  refresh: { const: 1 },
  multi: { const: false },
  includeAll: { const: false }
})
const queryVariable = closed({
  ...shared,
  type: { const: 'query' },
  datasource,
  definition: { type: 'string', pattern: '^label_values\\(.+, \\w+\\)$' },
  query: closed({ query: text, refId: text }),
  refresh: { const: 2 },
  sort: { type: 'integer' },
  multi: { const: true },
  includeAll: { const: true }
})

/** The JSON schema of a dashboard. */
export const dashboardSchema: object = closed({
  uid: { type: 'string', pattern: '^[a-z-]{1,40}$' },
  title: text,
  description: text,
  tags: { type: 'array', items: text, contains: { const: 'postern' } },
  schemaVersion: { type: 'integer', minimum: 36 },
  version: { type: 'integer', minimum: 1 },
  editable: { type: 'boolean' },
  graphTooltip: { enum: [0, 1, 2] },
  timezone: { const: 'browser' },
  time: closed({ from: text, to: text }),
  refresh: { type: 'string', pattern: '^\\d+[sm]$' },
  links: {
    type: 'array',
    items: { type: 'object', properties: { title: text, type: text }, required: ['title', 'type'] }
  },
  templating: closed({ list: { type: 'array', items: { anyOf: [sourceVariable, queryVariable] }, minItems: 1 } }),
  annotations: closed({ list: { type: 'array', maxItems: 0 } }),
  panels: { type: 'array', items: { anyOf: [row, panel] }, minItems: 1 }
})

/** Returns the schema of an object with these fields and no other. */
function closed(required: Readonly<Record<string, object>>, optional: Readonly<Record<string, object>> = {}): object {
  return {
    type: 'object',
    properties: { ...required, ...optional },
    required: Object.keys(required),
    additionalProperties: false
  }
}
