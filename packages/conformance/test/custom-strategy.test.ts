import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@postern/testkit'
import { describe, it } from 'vitest'
import { ssh } from '../../../examples/custom-strategy/ssh.js'
import { conformance, type Subject, type World } from '../src/index.js'

interface SshWorld extends World {
  readonly folder: string
  readonly start: NonNullable<Parameters<typeof ssh>[2]>
}

const program = join(import.meta.dirname, 'fake-ssh.mjs')

/** A server that the fake ssh forwards ports of, and the processes of ours that hold them. */
const subject: Subject<SshWorld> = {
  create: ({ start }) => ssh('me@server.example', '1.2.3.4', start),
  world() {
    const folder = mkdtempSync(join(tmpdir(), 'fake-ssh-'))
    const running = new Set<object>()
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
      close: () => rmSync(folder, { recursive: true, force: true })
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
