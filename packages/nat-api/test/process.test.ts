import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

let state = ''
beforeAll(() => (state = mkdtempSync(join(tmpdir(), 'postern-'))))
afterAll(() => rmSync(state, { recursive: true, force: true }))

/** Runs a program in which the package is found by its name. Returns what it prints. */
function run(type: 'commonjs' | 'module', text: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`--input-type=${type}`, '-e', text], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, XDG_STATE_HOME: state }
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout.trim()
}

describe('the class', () => {
  it('the class is what require() returns, and new takes the options', () => {
    const text = `const NatAPI = require('@postern/nat-api')
      console.log(typeof NatAPI, NatAPI.name, new NatAPI({ enablePMP: true }).ttl)`
    expect(run('commonjs', text)).toBe('function NatAPI 7200')
  })

  it('the class is the default export and a named one', () => {
    const text = `import NatAPI, { NatAPI as named } from '@postern/nat-api'
      console.log(NatAPI === named, NatAPI.name)`
    expect(run('module', text)).toBe('true NatAPI')
  })
})

describe('a callback that throws', () => {
  it('the exception is an uncaught exception of the program, the callback runs once, and the client goes on', () => {
    const text = `import NatAPI from '@postern/nat-api'
      const client = new NatAPI({ enablePMP: false, enableUPNP: false })
      process.on('uncaughtException', ({ message }) => console.log('uncaught', message))
      process.on('unhandledRejection', () => console.log('unhandled rejection'))
      for (const [name, ...args] of [['map', 1000], ['map', 'x'], ['unmap', 1000], ['externalIp'], ['destroy']])
        client[name](...args, () => { throw new Error(name) })
      console.log(await client.destroy())`
    expect(run('module', text).split('\n').toSorted()).toEqual(
      ['true', 'uncaught destroy', 'uncaught externalIp', 'uncaught map', 'uncaught map', 'uncaught unmap'].toSorted()
    )
  })
})

describe('the process', () => {
  it('a client without a call does not keep the process alive', () => {
    run('module', `import NatAPI from '@postern/nat-api'; new NatAPI()`)
  })
})
