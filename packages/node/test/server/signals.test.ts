import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createGateway, listen } from '@postern/testkit'
import { describe, expect, it } from 'vitest'

const dist = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

/** Runs a program that exposes a server through a gateway, and sends it a signal as soon as it has a mapping. */
const program = (address: string, own: string): string => `
  const { createServer } = await import('node:net')
  const { expose } = await import(${JSON.stringify(dist)})
  const server = createServer().listen(0, '127.0.0.1')
  ${own}
  await expose(server, { strategies: 'pcp:${address}', releaseOnExit: true, on: { mapped: () => console.log('mapped') } })
  console.log('exposed')
  server.unref()
  setInterval(() => {}, 1000)
`

async function ended(
  signal: NodeJS.Signals,
  own = ''
): Promise<{ readonly left: number; readonly how: readonly unknown[] }> {
  const gateway = createGateway({ externalAddress: '11.0.0.2' })
  const listening = await listen(gateway)
  const state = await mkdtemp(join(tmpdir(), 'postern-'))
  const child = spawn(process.execPath, ['--input-type=module', '-e', program(listening.address, own)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, XDG_STATE_HOME: state }
  })
  // This happens while the granted port is being written to the state file.
  await once(child.stdout, 'data')
  child.kill(signal)
  const how = await once(child, 'exit')
  const left = gateway.mappings.length
  await listening.close()
  await rm(state, { recursive: true, force: true })
  return { left, how }
}

describe('releaseOnExit', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'releases at %s, also while the state is being written, and ends by it',
    async (signal) => {
      const ends = await Promise.all(Array.from({ length: 4 }, () => ended(signal)))
      expect(ends).toEqual(Array.from({ length: 4 }, () => ({ left: 0, how: [null, signal] })))
    }
  )

  it('releaseOnExit does not end a program that handles the signal itself', async () => {
    const own = `process.on('SIGTERM', () => setTimeout(() => process.exit(7), 1500))`
    expect(await ended('SIGTERM', own)).toEqual({ left: 0, how: [7, null] })
  })
})
