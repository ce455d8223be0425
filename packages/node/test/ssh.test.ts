import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  canRunLab,
  type Lab,
  openLab,
  type Sshd,
  type SshdOptions,
  startSshd,
  type TopologyName,
  withPeers
} from '@postern/lab'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Exposed, exposeAtHome } from './support/exposed.js'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (skipped: ${support.reason})`

interface Place {
  readonly lab: Lab
  readonly sshd: Sshd
  expose(ladder?: string): Promise<Exposed>
  /** Connects from the internet, and resolves with what the server says of the client and with the client itself. */
  visit(port?: number): Promise<{ readonly seen: string; readonly self: string } | undefined>
}

/** A home with an SSH server on the internet, and with what `ssh` would find in the folder of its user. */
async function openPlace(name: TopologyName, options: Partial<SshdOptions> = {}): Promise<Place> {
  const lab = await openLab(withPeers(name))
  const folder = mkdtempSync(join(tmpdir(), 'postern-node-ssh-'))
  onTestFinished(async () => {
    await lab.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const sshd = await startSshd(lab, 'alpha', { folder, ...options })
  mkdirSync(join(folder, '.ssh'))
  copyFileSync(sshd.keyFile, join(folder, '.ssh', 'id_ed25519'))
  copyFileSync(sshd.knownHosts, join(folder, '.ssh', 'known_hosts'))
  const text = `ssh:${sshd.user}@${sshd.address}:${sshd.port}`
  return {
    lab,
    sshd,
    expose: (ladder = text) =>
      exposeAtHome(lab, ladder.replace('ssh', text), { env: { HOME: folder, SSH_AUTH_SOCK: '' } }),
    async visit(port = 5001) {
      const program = `const socket = require('node:net').connect(${port}, '${sshd.address}')
        .on('error', () => process.exit()).on('end', () => process.exit())
        .on('data', (bytes) => console.log(JSON.stringify({ seen: String(bytes), self: socket.localAddress + ':' + socket.localPort })))
        setTimeout(process.exit, 1500)`
      const { stdout } = await lab.run('outsider', [process.execPath, '-e', program], { timeoutMs: 5000 })
      return stdout === '' ? undefined : (JSON.parse(stdout) as { seen: string; self: string })
    }
  }
}

describe.skipIf(!support.ok)(`expose() with a port of another host${skipped}`, { timeout: 120_000 }, () => {
  it.each(['carrier-nat', 'double-nat', 'silent', 'udp-blocked'] as const)(
    '%s: the server is reached through it, knows the client, and leaves no port behind',
    async (name) => {
      const { expose, visit } = await openPlace(name)
      const exposed = await expose('any,ssh')
      await exposed.until('mapped ssh 21.0.0.1:5001')
      const { seen, self } = (await visit()) ?? {}
      expect(seen).toBe(self)
      const { report } = await exposed.report()
      expect(report.verdict).toBe('relayed')
      await exposed.close()
      expect(await visit()).toBeUndefined()
    }
  )

  it('sshd is killed and started again: the same port comes back', async () => {
    const { expose, visit, sshd } = await openPlace('carrier-nat')
    const exposed = await expose('ssh')
    await exposed.until('mapped ssh 21.0.0.1:5001')
    await sshd.kill()
    await exposed.until('lost ssh 21.0.0.1:5001')
    await sshd.start()
    await exposed.until('mapped ssh 21.0.0.1:5001')
    expect((await visit())?.seen).toBeDefined()
    await exposed.close()
  })

  it('the link is cut: the loss is told, and the same port comes back', async () => {
    const { expose, visit, lab } = await openPlace('carrier-nat')
    const exposed = await expose('ssh')
    await exposed.until('mapped ssh 21.0.0.1:5001')
    await lab.outageBegins('router')
    await exposed.until('lost ssh 21.0.0.1:5001')
    await lab.outageEnds('router')
    await exposed.until('mapped ssh 21.0.0.1:5001')
    expect((await visit())?.seen).toBeDefined()
    await exposed.close()
  })

  it('another address of ours: the same port once sshd has given up the lost session', async () => {
    const { expose, visit, lab } = await openPlace('home', {
      lines: ['ClientAliveInterval 2', 'ClientAliveCountMax 2']
    })
    const exposed = await expose('ssh')
    await exposed.until('mapped ssh 21.0.0.1:5001')
    await lab.outageBegins('router')
    await exposed.until('lost ssh 21.0.0.1:5001')
    await lab.changeWanAddress('router', '11.0.0.77')
    await lab.outageEnds('router')
    await exposed.until('mapped ssh 21.0.0.1:5001')
    expect((await visit())?.seen).toBeDefined()
    await exposed.close()
  })
})
