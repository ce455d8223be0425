import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type CallOptions, natError, type Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { conformance, type Subject, type World } from '../src/index.js'
import { failures } from './reference-subject.js'

const packages = join(import.meta.dirname, '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'postern-firewall-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Api {
  allow(port: number, call: CallOptions): Promise<boolean>
  forbid(port: number, call: CallOptions): Promise<void>
}

interface FirewallWorld extends World {
  readonly api: Api
}

/** Writes the example of a README as a module into the folder and resolves with its URL. */
function moduleOf(readme: string, mark: string, name: string): string {
  const text = readFileSync(join(packages, readme, 'README.md'), 'utf8')
    .split(mark)[1]
    ?.split('```ts\n')[1]
  const { outputText } = ts.transpileModule(text?.split('```')[0] ?? '', {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  })
  const file = join(folder, name)
  const built = (_: string, each: string): string => pathToFileURL(join(packages, each, 'dist', 'index.js')).href
  writeFileSync(file, outputText.replace(/@postern\/([a-z-]+)/g, built).replace('./firewall.js', './firewall.mjs'))
  return pathToFileURL(file).href
}

const { firewall } = (await import(moduleOf('interface', '## Example', 'firewall.mjs'))) as {
  firewall: (api: Api, address: string) => Strategy
}

/** A firewall with an API that takes 5 ms for each answer. */
function world(): FirewallWorld {
  const clock = virtualClock()
  const open = new Set<number>()
  let mood: 'well' | 'silent' | 'refusing' = 'well'
  let delayMs = 5
  let requests = 0
  async function ask(carryOut: () => void, call: CallOptions): Promise<void> {
    requests += 1
    await clock.sleep(mood === 'silent' ? 1e12 : delayMs, call)
    if (mood === 'refusing') throw new TypeError('fetch failed')
    carryOut()
  }
  return {
    clock,
    network: { gateways: [], addresses: ['192.168.1.10'] },
    api: {
      async allow(port, call) {
        await ask(() => open.add(port), call)
        return true
      },
      forbid: (port, call) => ask(() => open.delete(port), call)
    },
    mappings: () =>
      [...open].map((port) => ({
        protocol: 'tcp',
        externalAddress: '1.2.3.4',
        externalPort: port,
        internalAddress: '192.168.1.10',
        internalPort: port,
        expiresAt: Number.POSITIVE_INFINITY
      })),
    requests: () => requests,
    changes: () => requests,
    faults: {
      silence: () => void (mood = 'silent'),
      refuse: () => void (mood = 'refusing'),
      slow: (ms) => void (delayMs = ms)
    }
  }
}

const subject: Subject<FirewallWorld> = { world, create: ({ api }) => firewall(api, '1.2.3.4') }

describe('the strategy in the README of the interface', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})

/** The same strategy with another `map`. */
const altered = (alter: (map: MapOf) => MapOf): Subject<FirewallWorld> => ({
  world,
  create: ({ api }) => {
    const strategy = firewall(api, '1.2.3.4')
    return (host) => {
      const { discover, ...rest } = strategy(host)
      return {
        ...rest,
        discover: (network, found, call) =>
          discover(
            network,
            (finding) => found(finding.kind === 'mapper' ? { ...finding, map: alter(finding.map) } : finding),
            call
          )
      }
    }
  }
})
type MapOf = Extract<Parameters<Parameters<ReturnType<Strategy>['discover']>[1]>[0], { kind: 'mapper' }>['map']

it('the firewall strategy passes in the world of the README', async () => {
  const mark = 'A subject without a gateway'
  // The example runs the suite itself.
  const { subject: shown } = (await import(moduleOf('conformance', mark, 'subject.mjs'))) as { subject: typeof subject }
  expect(await failures(shown)).toEqual([])
})

describe('a mapper that changes no ports', () => {
  it('a mapper may refuse another external port with SAME_PORT_REQUIRED', async () => {
    const refusing = altered((map) => async (request, call) => {
      if (request.suggestedExternalPort !== request.endpoint.port)
        throw natError('SAME_PORT_REQUIRED', 'the firewall maps a port to the same port only')
      return map(request, call)
    })
    expect(await failures(refusing)).toEqual([])
  })

  it('a mapper may not refuse another external port with another code', async () => {
    const refusing = altered((map) => async (request, call) => {
      if (request.suggestedExternalPort === 9234) throw natError('CONFLICT', 'not that one')
      return map(request, call)
    })
    expect(await failures(refusing)).toEqual(['map-honours-the-suggested-port'])
  })

  it('a mapper may not refuse the same external port', async () => {
    const refusing = altered((map) => async (request, call) => {
      if (request.suggestedExternalPort === 9234 || request.endpoint.port === 9090)
        throw natError('SAME_PORT_REQUIRED', 'the firewall maps a port to the same port only')
      return map(request, call)
    })
    expect(await failures(refusing)).toContain('map-honours-the-suggested-port')
  })
})
