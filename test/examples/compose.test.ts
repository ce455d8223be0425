import { canRunLab, openLab } from '@postern/lab'
import { expect, it } from 'vitest'
import { startExample } from './program.js'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (${support.reason})`

it.skipIf(!support.ok)(
  `examples/compose ranks UPnP first and leaves IPv6 out${skipped}`,
  {
    timeout: 60_000
  },
  async () => {
    await using lab = await openLab('ipv6-firewall')
    await using program = startExample(lab, 'home', 'compose/index.ts')
    expect(await program.until(/^mapped/)).toBe('mapped upnp 11.0.0.2:8080')
    await program.until(/^verdict public/)
    const visitor = `fetch('http://11.0.0.2:8080/').then(async (reply) => console.log(await reply.text()))`
    const { stdout } = await lab.run('internet', [process.execPath, '-e', visitor])
    expect(stdout.trim()).toBe('Hello from a ladder of your own')
    expect(await lab.rules()).toMatchObject([{ family: 4, externalPort: 8080 }])
    expect(await program.end()).toBe(0)
    expect(program.said).toContain('released upnp 11.0.0.2:8080')
    expect(await lab.rules()).toEqual([])
  }
)
