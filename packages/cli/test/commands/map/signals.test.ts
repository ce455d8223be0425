import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createGateway, type FakeGateway, listen } from '@postern/testkit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../../../bin/postern.js', import.meta.url))
const onLinux = process.platform === 'linux'

let state = ''
let gateway: FakeGateway
let listening: Awaited<ReturnType<typeof listen>>
const children: ChildProcess[] = []
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'postern-'))
  gateway = createGateway({ externalAddress: '11.0.0.2' })
  listening = await listen(gateway)
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await listening.close()
  await rm(state, { recursive: true, force: true })
})

interface Command {
  readonly child: ChildProcess
  readonly said: () => string
  /** The exit code or the signal. */
  readonly ended: Promise<unknown>
}

function run(args: readonly string[], out: 'pipe' | number = 'pipe'): Command {
  const env = { ...process.env, XDG_STATE_HOME: state, NO_COLOR: '1' }
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', out, 'pipe'], env })
  children.push(child)
  let said = ''
  child.stderr?.on('data', (data) => (said += String(data)))
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal)
  return { child, said: () => said, ended }
}

const map = (...more: readonly string[]): readonly string[] => [
  'map',
  '8080',
  '--via',
  `pcp:${listening.address}`,
  ...more
]
const isMapped = async (): Promise<void> => {
  while (gateway.mappings.length === 0) await sleep(5)
}

describe.skipIf(!onLinux)('a mapping', { timeout: 30_000 }, () => {
  it('map releases at Ctrl-C although standard output is a full pipe', async () => {
    const command = [process.execPath, bin, ...map('--json')].map((word) => `'${word}'`).join(' ')
    const env = { ...process.env, XDG_STATE_HOME: state, NO_COLOR: '1' }
    // The pipe holds 64 KiB, and its reader does not read.
    const script = `{ head -c 65536 /dev/zero; exec ${command}; } | { trap '' INT; exec sleep 60; }`
    const shell = spawn('bash', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'], env, detached: true })
    children.push(shell)
    await isMapped()
    process.kill(-(shell.pid ?? 0), 'SIGINT')
    await expect.poll(() => gateway.mappings.length, { timeout: 5000 }).toBe(0)
    process.kill(-(shell.pid ?? 0), 'SIGKILL')
  })

  it.each([['--json'], []])(
    'outlives the reader of the output, and is given back at SIGTERM (map %s)',
    async (...more) => {
      const command = run(map(...more))
      command.child.stdout?.destroy()
      await isMapped()
      command.child.kill('SIGTERM')
      expect(await command.ended).toBe(0)
      expect(gateway.mappings).toHaveLength(0)
      expect(command.said()).not.toContain('    at ')
    }
  )

  it('map releases although the reader of the remarks is gone', async () => {
    const command = run(map())
    command.child.stdout?.destroy()
    command.child.stderr?.destroy()
    await isMapped()
    command.child.kill('SIGTERM')
    expect(await command.ended).toBe(0)
    expect(gateway.mappings).toHaveLength(0)
  })

  it('map keeps its mapping and reports a full disk', async () => {
    const command = run(map('--json'), openSync('/dev/full', 'w'))
    await isMapped()
    command.child.kill('SIGINT')
    expect(await command.ended).toBe(1)
    expect(gateway.mappings).toHaveLength(0)
    expect(command.said()).toContain('the output cannot be written: ENOSPC')
    expect(command.said()).not.toContain('    at ')
  })

  it.each(['SIGHUP', 'SIGINT', 'SIGTERM'] as const)(
    'is given back at %s, also when it comes twice at once',
    async (signal) => {
      const command = run(map('--json'))
      await isMapped()
      command.child.kill(signal)
      command.child.kill(signal)
      expect(await command.ended).toBe(0)
      expect(gateway.mappings).toHaveLength(0)
    }
  )

  it('map reports a mapping that is left at the second SIGINT', async () => {
    const command = run(map('--json'))
    await isMapped()
    gateway.inject({ kind: 'silent' })
    command.child.kill('SIGINT')
    // Two signals in quick succession count as one.
    await sleep(400)
    command.child.kill('SIGINT')
    expect(await command.ended).toBe(130)
    expect(command.said()).toContain('ended before everything was released')
  })

  it('map requests no mapping after a signal during the read of the store', async () => {
    // Another contender for the file, which makes this one wait.
    const folder = join(state, 'postern')
    await mkdir(folder)
    const contender = createServer()
    contender.listen(join(folder, 'map-8080-tcp.json.lock-77-0123456789abcdef'))
    contender.unref()
    await once(contender, 'listening')
    const command = run(map('--json'))
    await once(contender, 'connection')
    command.child.kill('SIGTERM')
    expect(await command.ended).toBe(0)
    expect(gateway.mappings).toHaveLength(0)
    contender.close()
  })

  it('map leaves no mapping after a signal during its start', { timeout: 120_000 }, async () => {
    for (let afterMs = 0; afterMs <= 600; afterMs += 25) {
      const signal = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const)[(afterMs / 25) % 3] ?? 'SIGINT'
      const command = run(map('--json'))
      await sleep(afterMs)
      command.child.kill(signal)
      // The name of the signal: it arrived before the program ran.
      expect([0, signal]).toContain(await command.ended)
      expect([afterMs, gateway.mappings.length]).toEqual([afterMs, 0])
      expect(command.said()).not.toContain('    at ')
    }
  })
})
