import { spawnSync } from 'node:child_process'
import type { MappingEvent, MappingEventName, Report, TraversalEvents } from '@postern/core'
import { errorCodes, isNatError, natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { exitCodes } from '../../packages/cli/src/shared/exit-codes.js'
import {
  absent,
  begin,
  end,
  relays,
  router,
  type Stage,
  scripted,
  stage,
  web,
  witnesses
} from '../../packages/core/test/support.js'
import { type Json, plain, schemaOfType } from './schema-of-type.js'
import { packages, read, readJson, root, sourcesOf } from './workspace.js'

describe('the pages that are written from the code', () => {
  it('the pages that are written from the code are up to date', { timeout: 30_000 }, () => {
    const { stderr, status } = spawnSync(process.execPath, ['scripts/docs.mjs', '--check'], {
      cwd: root,
      encoding: 'utf8'
    })
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  })

  it('the page of limits names every bound on input from the network', () => {
    const page = read('docs/reference/limits.md')
    const names = ['upnp', 'autonat', 'relay', 'hole-punch', 'stun', 'libp2p-utils', 'cli'].flatMap((folder) =>
      packages
        .filter((each) => each.folder === folder)
        .flatMap(sourcesOf)
        .flatMap((file) => [...read(file).matchAll(/^(?:export )?const ((?:max|most)[A-Z]\w*)(?:: \w+)? = [\d({]/gm)])
        .map(([, name = '']) => name)
    )
    expect(names.length).toBeGreaterThan(20)
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  })

  it('the page of error codes has a row for every code, and no other', () => {
    const rows = [...read('docs/reference/errors.md').matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code)
    expect(rows).toEqual(Object.keys(errorCodes))
  })
})

/** In the registry for third-party strategies; nothing here has a use for them. */
const unused = new Set(['NO_GATEWAY'])

describe('the registry of error codes', () => {
  it('the registry explains every code, and isNatError accepts each', () => {
    const codes = Object.keys(errorCodes) as (keyof typeof errorCodes)[]
    expect(codes.filter((code) => !isNatError(natError(code, 'x')))).toEqual([])
  })

  it('the registry has no code that is never used', () => {
    const sources = packages
      .filter(({ folder }) => !['interface', 'testkit', 'conformance', 'lab'].includes(folder))
      .flatMap(sourcesOf)
      .map(read)
    const silent = Object.keys(errorCodes).filter((code) => !sources.some((text) => text.includes(`'${code}'`)))
    expect(silent.filter((code) => !unused.has(code))).toEqual([])
  })
})

const schema = readJson('docs/reference/report.schema.json') as { readonly [key: string]: Json }
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true })
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const validate = ajv.compile(schema)

/** Returns what is wrong with a report after it was sent as JSON. */
function faultsOf(report: Report): readonly string[] {
  validate(JSON.parse(JSON.stringify(report)))
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, JSON.stringify(params)].join(' ')
  )
}

describe('docs/reference/report.schema.json', () => {
  it('the schema is the type Report, with all its causes, states and fields, and nothing more', () => {
    expect(plain(schema)).toEqual(schemaOfType('core', 'Report'))
  })

  it('the schema refuses a report with an unknown cause, an additional field, or a missing one', () => {
    const good: unknown = stage(() => []).traversal.report()
    expect(faultsOf(good as Report)).toEqual([])
    const { nat: _, ...less } = good as Report
    for (const bad of [{ ...(good as Report), cause: 'weather' }, { ...(good as Report), extra: 1 }, less]) {
      expect(faultsOf(bad as Report)).not.toEqual([])
    }
  })

  const refuse = (): never => {
    throw natError('NOT_AUTHORIZED', 'no')
  }
  const scenes: Readonly<Record<string, () => Stage>> = {
    'a mapping and a strategy that was not needed': () =>
      stage((trace, clock) => [
        scripted('pcp', trace, clock).strategy,
        scripted('upnp', trace, clock).strategy,
        absent('nat-pmp', clock)
      ]),
    'a verified address': () => {
      const clock = virtualClock()
      const seen = witnesses({ ann: 'reachable', ben: 'reachable', cy: 'unreachable' }, clock)
      return stage((trace) => [scripted('pcp', trace, clock).strategy, seen], { clock })
    },
    'a refuted address': () => {
      const clock = virtualClock()
      const seen = witnesses({ ann: 'unreachable', ben: 'unreachable', cy: 'inconclusive' }, clock)
      return stage((trace) => [scripted('pcp', trace, clock).strategy, seen], { clock })
    },
    'a relay behind a carrier': () =>
      stage((trace, clock) => [
        scripted('pcp', trace, clock, { externalAddress: '100.64.1.2' }).strategy,
        relays(['rho'], clock, trace)
      ]),
    'a refusal': () => stage((trace, clock) => [scripted('pcp', trace, clock, { grant: refuse }).strategy]),
    'a permanent mapping without a router': () =>
      stage((trace, clock) => [
        scripted('manual', trace, clock, { gateway: null, lifetimeMs: Number.POSITIVE_INFINITY }).strategy
      ]),
    'a second router': () => {
      const gateways = [router, { ...router, address: '192.168.1.254' }]
      return stage(
        (trace, clock) => [
          scripted('upnp', trace, clock, { gateway: { ...router, address: '192.168.1.254' } }).strategy
        ],
        { network: { gateways, addresses: ['192.168.1.2'] } }
      )
    },
    'no network': () => stage((_, clock) => [absent('pcp', clock)], { network: { gateways: [], addresses: [] } }),
    'a container bridge': () =>
      stage((_, clock) => [absent('pcp', clock)], {
        network: {
          gateways: [{ address: '172.17.0.1', interface: 'eth0', localAddress: '172.17.0.2' }],
          addresses: ['172.17.0.2']
        }
      })
  }

  it.each(Object.entries(scenes))('the schema accepts the report of a traversal: %s', async (_, play) => {
    const each = play()
    each.traversal.addEndpoint(web)
    expect(faultsOf(each.traversal.report())).toEqual([])
    await begin(each, 0)
    expect(faultsOf(each.traversal.report())).toEqual([])
    await each.clock.advance(20_000)
    expect(faultsOf(each.traversal.report())).toEqual([])
    await end(each)
    expect(faultsOf(each.traversal.report())).toEqual([])
  })
})

describe('docs/reference/events.md', () => {
  const page = read('docs/reference/events.md')
  const [, lines = ''] = /^```json\n([^]*?)^```/m.exec(page) ?? []
  const examples = lines.trimEnd().split('\n')
  const rowsOf = (heading: string): readonly string[] => {
    const [, section = ''] = new RegExp(`^## ${heading}\n([^]*?)(?=^## |\\Z)`, 'm').exec(`${page}\n## `) ?? []
    return [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name)
  }

  it('the page of events has a row for every event', () => {
    expect({ enum: rowsOf('Events').toSorted() }).toEqual(schemaOfType('core', 'MappingEventName'))
  })

  const others: Readonly<Record<Exclude<keyof TraversalEvents, MappingEventName>, true>> = {
    strategy: true,
    verdict: true,
    upgrade: true,
    request: true,
    lease: true
  }

  it('the page of events has a row for every other event', () => {
    expect(rowsOf('Other events')).toEqual(Object.keys(others))
  })

  it('the guide has a row for every channel of diagnostics', () => {
    const rows = [...read('docs/guides/watching-numbers.md').matchAll(/^\| `(postern:\w+)` \|/gm)]
    const source = read('packages/runtime/src/diagnostics.ts')
    const channels = [...source.matchAll(/: '(postern:\w+)'/g)].map(([, name]) => name)
    expect(channels.length).toBeGreaterThan(3)
    expect(rows.map(([, name]) => name)).toEqual(channels)
  })

  const isGivenAlways = (field: string): boolean => !['through', 'reasons', 'owners'].includes(field)

  it('the page of events has a row for every field', () => {
    const fields = rowsOf('Fields')
    const { properties, required } = schemaOfType('core', 'MappingEvent') as Record<string, object>
    expect(fields).toEqual(Object.keys(properties ?? {}))
    expect(fields.filter(isGivenAlways).toSorted()).toEqual(required)
  })

  it('the page of events shows lines that could be written', () => {
    expect(examples.length).toBeGreaterThan(3)
    for (const line of examples) {
      const event = JSON.parse(line) as MappingEvent
      expect(JSON.stringify(event)).toBe(line)
      expect(rowsOf('Events')).toContain(event.event)
      expect(Object.keys(event).filter(isGivenAlways)).toEqual(rowsOf('Fields').filter(isGivenAlways))
      for (const { code } of event.reasons ?? []) expect(Object.keys(errorCodes)).toContain(code)
    }
  })

  it('the page of events shows the fields of real events, in their order', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    expect(each.events.map(({ event }) => event)).toEqual(['mapped', 'released'])
    for (const event of each.events) expect(Object.keys(event)).toEqual(Object.keys(JSON.parse(examples[0] ?? '{}')))
  })
})

describe('the exit codes', () => {
  const all = Object.entries(exitCodes).map(([name, code]) => `${code} ${name}`)

  it('the exit codes are in docs/reference/exit-codes.md', () => {
    const rows = [...read('docs/reference/exit-codes.md').matchAll(/^\| (\d+) \| (\w+) \|/gm)]
    expect(rows.map(([, code, name]) => `${code} ${name}`)).toEqual(all)
  })

  it('the exit codes are in the README and in the help', () => {
    const codes = Object.values(exitCodes).map(String)
    const inReadme = [...read('packages/cli/README.md').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => code)
    const [, help = ''] = /Exit codes:\n([^`]*)`/.exec(read('packages/cli/src/commands/common.ts')) ?? []
    expect(inReadme).toEqual(codes)
    expect([...help.matchAll(/^ {2}(\d+)/gm)].map(([, code]) => code)).toEqual(codes)
  })
})

describe('docs/guides/concepts.md', () => {
  const page = read('docs/guides/concepts.md')
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name = '']) => name)

  const types = ['Verdict', 'Cause', 'CandidateState', 'StrategyState']
  const valuesOf = (type: string): readonly string[] =>
    (schemaOfType('core', type) as { readonly enum: readonly string[] }).enum

  it.each(types)('the guide explains each %s', (type) => {
    expect(valuesOf(type).filter((value) => !rows.includes(value))).toEqual([])
  })

  it('the guide explains nothing that does not exist', () => {
    const known = new Set(types.flatMap(valuesOf))
    expect(rows.filter((name) => !known.has(name))).toEqual([])
  })
})
