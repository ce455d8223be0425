import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createGateway, listen } from '@postern/testkit'
import { describe, expect, it } from 'vitest'

const dist = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

interface Ended {
  readonly said: string
  readonly code: number | null
  /** The number of mappings that the gateway still has. */
  readonly left: number
}

/** Runs a program that exposes an unreferenced server, and then runs the code of the test. Resolves when it ends. */
async function run(then: string, { options = '', isSilent = false } = {}): Promise<Ended> {
  const gateway = createGateway({ externalAddress: '11.0.0.2' })
  const listening = await listen(gateway)
  const state = await mkdtemp(join(tmpdir(), 'postern-'))
  const strategies = isSilent ? 'pcp:127.9.9.9,nat-pmp:127.9.9.9,upnp:127.9.9.9' : `pcp:${listening.address}`
  const program = `
    const { createServer } = await import('node:net')
    const { expose } = await import(${JSON.stringify(dist)})
    const server = createServer().listen(0, '127.0.0.1')
    server.unref()
    const held = () => process.getActiveResourcesInfo().filter((name) => /Timeout|UDP|TCP/.test(name))
    const exposure = await expose(server, { strategies: '${strategies}', ${options} })
    ${then}
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, XDG_STATE_HOME: state }
  })
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const said = await text(child.stdout)
  const code = await exit
  const left = gateway.mappings.length
  await listening.close()
  await rm(state, { recursive: true, force: true })
  return { said, code, left }
}

/** A timer that fires only if something else keeps the process alive. */
const seeWhetherItStays = `setTimeout(() => { console.log('stays'); process.exit() }, 300).unref()`

describe('an exposure', () => {
  it('an exposure keeps the process alive', async () => {
    expect(await run(seeWhetherItStays)).toMatchObject({ said: 'stays\n', code: 0 })
  })

  it('an exposure lets the process end after unref(), and its mapping expires', async () => {
    expect(await run(`exposure.unref().unref(); ${seeWhetherItStays}`)).toEqual({ said: '', code: 0, left: 1 })
  })

  it('an exposure keeps the process alive again after ref()', async () => {
    const { said } = await run(`exposure.unref(); exposure.ref(); ${seeWhetherItStays}`)
    expect(said).toBe('stays\n')
  })

  it('an exposure with releaseOnExit releases its mapping when the process ends by itself', async () => {
    const options = 'releaseOnExit: true'
    expect(await run(`exposure.unref(); ${seeWhetherItStays}`, { options })).toEqual({ said: '', code: 0, left: 0 })
  })

  it('an exposure keeps the process alive until close() has resolved', async () => {
    const then = `exposure.unref(); await exposure.close(); console.log('closed')`
    expect(await run(then)).toEqual({ said: 'closed\n', code: 0, left: 0 })
  })

  it('an exposure does not keep the process alive after unref() while routers are asked, also with later sockets', async () => {
    const then = `
      const before = held().length
      exposure.unref()
      const after = held()
      // Requests are repeated meanwhile, on new sockets and timers.
      for (let turn = 0; turn < 40; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        after.push(...held())
      }
      console.log(before > 0, after)
    `
    expect(await run(then, { isSilent: true })).toEqual({ said: 'true []\n', code: 0, left: 0 })
  }, 20_000)
})
