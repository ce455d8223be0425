import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'

const packages = fileURLToPath(new URL('../..', import.meta.url))
const built = readFileSync(`${packages}/libp2p-utils/dist/node-version.js`, 'utf8').replace(/^export .*$/m, '')

/** Imports the module on another runtime. */
const importOn = (versions: Readonly<Record<string, string>>): void =>
  void runInNewContext(`{${built}\n}`, { process: { versions }, TypeError, Number })

describe('a runtime that is too old for libp2p', () => {
  it.each(['18.20.8', '20.20.2', '21.7.3'])('the import rejects Node.js %s with one sentence', (node) => {
    expect(() => importOn({ node })).toThrow(
      `Packages of Postern for libp2p need Node.js 22 or later, and this is Node.js ${node}`
    )
  })

  it.each([
    { node: '22.0.0' },
    { node: '24.21.0' },
    { node: '20.0.0', bun: '1.0.0' },
    { node: '20.0.0', deno: '2.0.0' }
  ])('the import accepts %j', (versions) => importOn(versions))

  it('the version is checked before anything else is loaded', () => {
    const index = readFileSync(`${packages}/libp2p-utils/dist/index.js`, 'utf8')
    expect(/^(?:import|export).*$/m.exec(index)?.[0]).toBe('import "./node-version.js";')
  })
})
