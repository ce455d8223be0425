import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { canRunLab, openLab } from '@postern/lab'
import { describe, expect, it } from 'vitest'

const support = await canRunLab()
const example = fileURLToPath(new URL('../../../examples/plain-http/index.js', import.meta.url))

describe.skipIf(!support.ok)(`examples/plain-http${support.ok ? '' : ` (skipped: ${support.reason})`}`, () => {
  it('examples/plain-http is reached from outside its router, and leaves nothing there when it ends', {
    timeout: 20_000
  }, async () => {
    await using lab = await openLab('home')
    const state = await mkdtemp(join(tmpdir(), 'postern-'))
    const child = lab.spawn('home', [process.execPath, example], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { XDG_STATE_HOME: state }
    })
    if (child.stdout === null) throw new Error('the example has no output')
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    expect(line).toBe('public unverified /ip4/11.0.0.2/tcp/8080')
    const visitor = `fetch('http://11.0.0.2:8080/').then(async (reply) => console.log(await reply.text()))`
    const { stdout } = await lab.run('internet', [process.execPath, '-e', visitor])
    expect(stdout.trim()).toBe('Hello from behind the NAT')
    child.kill('SIGTERM')
    const [code, signal] = await once(child, 'exit')
    expect([code, signal]).toContain('SIGTERM')
    expect(await lab.rules()).toEqual([])
    await rm(state, { recursive: true, force: true })
  })
})
