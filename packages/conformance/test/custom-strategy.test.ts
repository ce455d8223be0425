import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { ssh } from '../../../examples/custom-strategy/ssh.js'
import { conformance, type Subject, type World } from '../src/index.js'

interface SshWorld extends World {
  readonly folder: string
  readonly start: NonNullable<Parameters<typeof ssh>[2]>
}

const program = join(import.meta.dirname, 'fake-ssh.mjs')
const example = join(import.meta.dirname, '..', '..', '..', 'examples', 'custom-strategy')

/** A world in which the fake ssh forwards ports of a server, with the processes that hold them. */
const subject: Subject<SshWorld> = {
  create: ({ start }) => ssh('me@server.example', '1.2.3.4', start),
  world() {
    const folder = mkdtempSync(join(tmpdir(), 'fake-ssh-'))
    const running = new Set<ChildProcess>()
    let started = 0
    return {
      clock: systemClock,
      network: { gateways: [], addresses: ['192.168.1.10'] },
      folder,
      start(args) {
        const env = { ...process.env, FAKE_SSH_FOLDER: folder }
        const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
        started += 1
        running.add(child)
        child.once('exit', () => running.delete(child))
        return child
      },
      requests: () => started,
      changes: () => started,
      openHandles: () => running.size,
      mappings: () => readdirSync(folder).map((port) => mappingIn(join(folder, port))),
      faults: {
        occupy: (_protocol, port) => writeFileSync(join(folder, String(port)), `*:${port}:192.168.1.99:${port}`)
      },
      async close() {
        const ended = [...running].map((child) => once(child, 'exit'))
        for (const child of running) child.kill()
        await Promise.all(ended)
        rmSync(folder, { recursive: true, force: true })
      }
    }
  }
}

function mappingIn(file: string) {
  const [, externalPort, internalAddress = '', internalPort] = readFileSync(file, 'utf8').split(':')
  return {
    protocol: 'tcp' as const,
    externalAddress: '1.2.3.4',
    externalPort: Number(externalPort),
    internalAddress,
    internalPort: Number(internalPort),
    expiresAt: Number.POSITIVE_INFINITY
  }
}

describe('the example of a strategy of your own', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, { timeout: 30_000 }, run)
})

describe('the example', () => {
  it('the example compiles with the compiler options of the packages', { timeout: 60_000 }, () => {
    const tsc = fileURLToPath(import.meta.resolve('typescript/bin/tsc'))
    const strict = ['strict', 'noUncheckedIndexedAccess', 'exactOptionalPropertyTypes', 'erasableSyntaxOnly']
    const other = ['noEmit', 'skipLibCheck', 'allowImportingTsExtensions', 'ignoreConfig']
    const flags = [...strict, ...other].map((each) => `--${each}`)
    const target = ['--target', 'es2024', '--module', 'nodenext', '--types', 'node']
    const files = ['ssh.ts', 'start.ts']
    const { stdout, status } = spawnSync(process.execPath, [tsc, ...flags, ...target, ...files], {
      cwd: example,
      encoding: 'utf8'
    })
    expect(stdout).toBe('')
    expect(status).toBe(0)
  })

  it.skipIf(process.platform === 'win32')(
    'the example makes a server public and releases the port',
    { timeout: 30_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'custom-strategy-'))
      const [bin, ports] = [join(folder, 'bin'), join(folder, 'ports')]
      for (const each of [bin, ports]) mkdirSync(each)
      writeFileSync(join(bin, 'ssh'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 })
      const env = {
        ...process.env,
        FAKE_SSH_FOLDER: ports,
        PATH: `${bin}:${process.env.PATH}`,
        PORT: '0',
        XDG_STATE_HOME: join(program, 'no-folder')
      }
      const child = spawn(process.execPath, ['start.ts', 'me@server.example', '1.2.3.4'], {
        cwd: example,
        env,
        // The example warns that it has no store; this test ignores the warning.
        stdio: ['ignore', 'pipe', 'ignore']
      })
      try {
        const [line] = await once(child.stdout, 'data')
        const [port] = readdirSync(ports)
        expect(String(line)).toBe(`public /ip4/1.2.3.4/tcp/${port}\n`)
        child.kill('SIGINT')
        await once(child, 'exit')
        expect(readdirSync(ports)).toEqual([])
      } finally {
        child.kill()
        rmSync(folder, { recursive: true, force: true })
      }
    }
  )
})
