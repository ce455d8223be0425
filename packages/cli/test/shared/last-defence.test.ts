import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const module = new URL('../../src/shared/last-defence.ts', import.meta.url).href
const sources = fileURLToPath(new URL('../../../../scripts/sources.mjs', import.meta.url))

/** Runs a program with `keepGoing` until it ends by itself. */
function run(code: string): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const start = `import { keepGoing } from ${JSON.stringify(module)}; const defence = keepGoing({ err: process.stderr });`
  const child = spawn(process.execPath, ['--import', sources, '--input-type=module', '-e', start + code], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (text) => (out += String(text)))
  child.stderr.on('data', (text) => (err += String(text)))
  return new Promise((resolve) => child.once('close', (exit) => resolve({ code: exit, out, err })))
}

it('an unhandled rejection is reported, and the program continues', async () => {
  const ended = await run(
    `Promise.reject(new Error('bad \\u001b[2J news')); setTimeout(() => console.log('still here'), 20)`
  )
  expect(ended).toMatchObject({ code: 0, out: 'still here\n' })
  expect(ended.err).toContain('the rest goes on: Error: bad \\u001b[2J news')
})

it('an uncaught exception interrupts the command, which then releases its mappings', async () => {
  const ended = await run(
    `process.once('SIGTERM', () => { console.log('released'); process.exit(defence.hasFailed() ? 1 : 0) })
     setTimeout(() => { throw new Error('bad news') }, 0); setTimeout(() => undefined, 60_000)`
  )
  expect(ended).toMatchObject({ code: 1, out: 'released\n' })
})

it.each([
  ['without a command that can be interrupted', ''],
  ['for the second time', `process.on('SIGTERM', () => setTimeout(() => { throw new Error('worse') }, 0));`]
])('an exception %s ends the program with 1', async (_, before) => {
  expect(
    await run(`${before} setTimeout(() => { throw new Error('bad news') }, 0); setTimeout(() => undefined, 60_000)`)
  ).toMatchObject({ code: 1 })
})
