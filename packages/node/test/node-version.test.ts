import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const built = readFileSync(`${root}/packages/node/dist/node-version.js`, 'utf8').replace(/^export .*$/m, '')

/** Imports the package on another runtime. */
const importOn = (versions: Readonly<Record<string, string>>): void =>
  void runInNewContext(`{${built}\n}`, { process: { versions }, TypeError, Number })

describe('a runtime that is too old', () => {
  it.each(['18.20.8', '20.20.2', '21.7.3'])('the import rejects Node.js %s with one sentence', (node) => {
    expect(() => importOn({ node })).toThrow(`@postern/node needs Node.js 22 or later, and this is Node.js ${node}`)
  })

  it.each([
    { node: '22.0.0' },
    { node: '24.21.0' },
    { node: '20.0.0', bun: '1.0.0' },
    { node: '20.0.0', deno: '2.0.0' }
  ])('the import accepts %j', (versions) => importOn(versions))

  it('the version is checked before anything else is loaded', () => {
    const [first] = /^(?:import|export).*$/m.exec(readFileSync(`${root}/packages/node/dist/index.js`, 'utf8')) ?? []
    expect(first).toBe('import "./node-version.js";')
  })

  it('the command line checks the version before anything is loaded', () => {
    const bin = readFileSync(`${root}/packages/cli/bin/postern.js`, 'utf8')
    expect(bin.indexOf('needs Node.js 22 or later')).toBeGreaterThan(0)
    expect(bin.indexOf('needs Node.js 22 or later')).toBeLessThan(bin.indexOf('../dist/index.js'))
    expect([...bin.matchAll(/^import .* from '(.*)'$/gm)].every(([, from]) => from?.startsWith('node:'))).toBe(true)
  })
})
