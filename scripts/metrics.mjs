// Builds docs/reference/metrics.md from the list of instruments of the built core. Used by docs.mjs.
import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** @param {{ root: string, cell: (text?: string) => string }} tools */
export async function metricsPage({ root, cell }) {
  const built = pathToFileURL(path.join(root, 'packages', 'core', 'dist', 'index.js')).href
  const { instruments, builtInStrategies, prometheusName, prometheusLabel, singleLabel } = await import(built)
  const all = Object.values(instruments)
  const valuesOf = ({ values }) =>
    values === 'strategies'
      ? `the name of a strategy: ${builtInStrategies.map(code).join(', ')}; the first 8 other names; else \`other\``
      : values === 'error codes'
        ? 'a code of [errors.md](errors.md)'
        : values.map(code).join(', ')
  const attributes = new Map(all.flatMap((each) => each.attributes.map((attribute) => [attribute.name, attribute])))
  return [
    '# Metrics',
    '',
    'What Postern measures, in one list for OpenTelemetry, Prometheus and the metrics of libp2p. How to get the',
    'numbers, and what to watch: [watching numbers](../guides/watching-numbers.md). Written by `scripts/docs.mjs` from',
    '`packages/core/src/metrics/instruments.ts`.',
    '',
    '`postern relay` and `postern witness` have numbers of their own: [running a relay](../guides/running-a-relay.md#metrics),',
    '[running a witness](../guides/running-a-witness.md#metrics).',
    '',
    '## Instruments',
    '',
    '| name | kind | unit | what it measures | attributes |',
    '|---|---|---|---|---|',
    ...all.map(
      ({ name, kind, unit, description, attributes: its }) =>
        `| \`${name}\` | ${kind} | \`${unit}\` | ${cell(description)} | ${its.map((each) => code(each.name)).join(', ')} |`
    ),
    '',
    'A gauge is an observable up-down counter of OpenTelemetry. A histogram also counts: its `_count` is the number of',
    'requests. A request that was aborted because it was no longer needed has the outcome `aborted`; that says nothing about',
    'the other side.',
    '',
    '## Attributes',
    '',
    '| name | what it says | values |',
    '|---|---|---|',
    ...[...attributes.values()].map(
      (each) => `| \`${each.name}\` | ${cell(each.description)} | ${cell(valuesOf(each))} |`
    ),
    '',
    '## Names in Prometheus',
    '',
    '`postern map` and `postern peer` serve these with `--metrics`. So does an OpenTelemetry Collector, which adds',
    'the unit as the specification says. The exporter `@opentelemetry/exporter-prometheus` does not add it: there the first',
    `name is \`${prometheusName({ ...instruments.requestDuration, unit: '' })}\`.`,
    '',
    '| instrument | name in Prometheus | labels |',
    '|---|---|---|',
    ...all.map(
      (each) =>
        `| \`${each.name}\` | \`${prometheusName(each)}\`${each.kind === 'histogram' ? ' with `_bucket`, `_sum`, `_count`' : ''} | ${each.attributes.map(({ name }) => code(prometheusLabel(name))).join(', ')} |`
    ),
    '',
    `The buckets of \`${prometheusName(instruments.requestDuration)}\` end at ${instruments.requestDuration.buckets.join(', ')} s.`,
    '',
    '## Names in the metrics of libp2p',
    '',
    'The `Metrics` interface of libp2p has one label for each metric. The names are those of Prometheus, and so is the',
    'label of an instrument with one attribute. Where there are several, one label has them in order, with `/` between the',
    'values; an attribute that is not set is empty there. A node with `natTraversal()` and `metrics` has these.',
    '',
    '| name | label | for example |',
    '|---|---|---|',
    ...all.map((each) => `| \`${prometheusName(each)}\` | \`${singleLabel(each)}\` | \`${exampleOf(each)}\` |`),
    ''
  ].join('\n')
}

const code = (text) => `\`${text}\``

/** Strategies that can have the instrument, for those that a strategy which maps cannot have. */
const exampleStrategies = { 'postern.witness.votes': 'autonat', 'postern.peer.upgrades': 'hole-punch' }

const exampleOf = ({ name, attributes }) =>
  attributes
    .map(({ values }) =>
      values === 'strategies'
        ? (exampleStrategies[name] ?? 'pcp')
        : values === 'error codes'
          ? 'NO_REPLY'
          : (values[1] ?? values[0])
    )
    .join('/')
