import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Endpoint, systemClock } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { ssh } from '../../../examples/custom-strategy/ssh.js'
import { conformance, type Subject, type World } from '../src/index.js'

interface SshWorld extends World {
  readonly start: NonNullable<Parameters<typeof ssh>[2]>
}

const program = join(import.meta.dirname, 'fake-ssh.mjs')
const example = join(import.meta.dirname, '..', '..', '..', 'examples', 'custom-strategy')

/** An application on ::1, so that its port is free on 127.0.0.1. */
async function application(): Promise<{ readonly server: Server; readonly endpoint: Endpoint }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.write(`${port} `)
    socket.pipe(socket)
  })
  await once(server.listen(0, '::1'), 'listening')
  const { port } = server.address() as AddressInfo
  return { server, endpoint: { protocol: 'tcp', family: 6, address: '::1', port } }
}

/** A world in which the fake ssh forwards ports of a server, with the processes that hold them. */
const subject: Subject<SshWorld> = {
  create: ({ start }) => ssh('me@server.example', '127.0.0.1', start),
  async world() {
    const applications = [await application(), await application()]
    const running = new Set<ChildProcess>()
    let started = 0
    let mood = 'normal'
    return {
      clock: systemClock,
      network: { gateways: [], addresses: ['192.168.1.10'] },
      ...(applications[0] && { endpoint: applications[0].endpoint }),
      ...(applications[1] && { otherEndpoint: applications[1].endpoint }),
      async exchange({ address, port }, text) {
        const socket = connect({ host: address, port, allowHalfOpen: true })
        socket.end(text)
        return (await socket.setEncoding('utf8').toArray()).join('')
      },
      start(args) {
        const env = { ...process.env, FAKE_SSH_MOOD: mood }
        const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
        started += 1
        running.add(child)
        child.once('exit', () => running.delete(child))
        return child
      },
      requests: () => started,
      changes: () => started,
      openHandles: () => running.size,
      faults: {
        silence: () => void (mood = 'silent'),
        misdirect: () => void (mood = 'misdirecting'),
        cut() {
          for (const child of running) child.kill('SIGKILL')
        }
      },
      async close() {
        const ended = [...running].map((child) => once(child, 'exit'))
        for (const child of running) child.kill()
        await Promise.all(ended)
        for (const { server } of applications) server.close()
      }
    }
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
      const { server, endpoint } = await application()
      server.close()
      const bin = mkdtempSync(join(tmpdir(), 'custom-strategy-'))
      writeFileSync(join(bin, 'ssh'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 })
      const env = {
        ...process.env,
        PATH: `${bin}:${process.env.PATH}`,
        PORT: '0',
        XDG_STATE_HOME: join(program, 'no-folder')
      }
      const child = spawn(process.execPath, ['start.ts', 'me@server.example', '127.0.0.1', String(endpoint.port)], {
        cwd: example,
        env,
        // The example warns that it has no store; this test ignores the warning.
        stdio: ['ignore', 'pipe', 'ignore']
      })
      try {
        const [line] = await once(child.stdout, 'data')
        expect(String(line)).toBe(`http://127.0.0.1:${endpoint.port}/\n`)
        expect(await (await fetch(String(line))).text()).toBe('Hello through ssh\n')
        child.kill('SIGINT')
        await once(child, 'exit')
        await expect(fetch(String(line))).rejects.toThrow('fetch failed')
      } finally {
        child.kill()
        rmSync(bin, { recursive: true, force: true })
      }
    }
  )
})
