import { builtInStrategies, instruments, prometheusName } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { packages, read, sourcesOf } from './workspace.js'

describe('the list of instruments', () => {
  it('the built-in strategies are those of the packages', () => {
    const files = packages.flatMap(sourcesOf).filter((file) => /\/src\/strategy\.ts$/.test(file))
    const names = files.map((file) => /\n {4,6}name: '([a-z-]+)'/.exec(read(file))?.[1])
    expect(names.toSorted()).toEqual([...builtInStrategies].toSorted())
  })

  it('names follow OpenTelemetry: dots and lower case, below postern or an attribute of its own conventions', () => {
    const all = Object.values(instruments)
    expect(all.map(({ name }) => name).filter((name) => !/^postern(?:\.[a-z_]+)+$/.test(name))).toEqual([])
    const attributes = all.flatMap((each) => each.attributes.map(({ name }) => name))
    expect(attributes.filter((name) => name !== 'error.type' && !/^postern(?:\.[a-z_]+)+$/.test(name))).toEqual([])
    expect(new Set(all.map(prometheusName)).size).toBe(all.length)
  })

  it('no unit or kind is in a name twice, and every value of an attribute is from a closed list', () => {
    for (const { name, kind, buckets, attributes } of Object.values(instruments)) {
      expect(name).not.toMatch(/total|seconds/)
      expect(buckets === undefined).toBe(kind !== 'histogram')
      for (const { values } of attributes) expect(typeof values === 'string' || values.length > 1).toBe(true)
    }
  })
})

describe('the requests of core', () => {
  it('every request to a strategy is measured: nothing else has a time limit but checks of this host and its sockets', () => {
    const files = packages.filter(({ folder }) => folder === 'core').flatMap(sourcesOf)
    const limited = files.filter((file) => /import \{[^}]*\battempt\b[^}]*\} from/.test(read(file)))
    expect(limited.toSorted()).toEqual([
      'packages/core/src/async/requests.ts',
      'packages/core/src/candidates/claim-checks.ts',
      'packages/core/src/nat/observe.ts'
    ])
  })
})
