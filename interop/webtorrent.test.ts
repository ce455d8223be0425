import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { canRunLab, type Lab, openLab, type TopologyName, withPeers } from '@postern/lab'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildWebTorrent } from './webtorrent/build.mjs'

const support = await canRunLab()
/** Awaited by each test, so that each one fails if WebTorrent cannot be installed. */
const built = support.ok ? buildWebTorrent() : Promise.resolve('')
built.catch(() => undefined)

/** A client that seeds in the host `home`. */
interface Seed {
  /** Resolves with the next line that it prints. */
  next(): Promise<Readonly<Record<string, unknown>>>
  /** Lets it destroy its client. */
  end(): void
  readonly exited: Promise<readonly unknown[]>
}

describe.skipIf(!support.ok)(
  `WebTorrent with @postern/nat-api${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 120_000 },
  () => {
    let folder = ''
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'postern-'))
    })
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    async function startSeed(lab: Lab, options: object): Promise<Seed> {
      const programs = await built
      const child = lab.spawn('home', [process.execPath, join(programs, 'seed.mjs'), JSON.stringify(options)], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { XDG_STATE_HOME: join(folder, 'state') }
      })
      const { stdin, stdout } = child
      if (stdin === null || stdout === null) throw new Error('the seed has no pipes')
      const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
      return {
        async next() {
          const { value } = await lines.next()
          return JSON.parse(String(value)) as Record<string, unknown>
        },
        end: () => void stdin.end(),
        exited: once(child, 'exit')
      }
    }

    async function download(lab: Lab, infoHash: unknown): Promise<unknown> {
      const target = mkdtempSync(join(folder, 'download-'))
      const command = [process.execPath, join(await built, 'download.mjs'), String(infoHash), '11.0.0.2:6881', target]
      const { stdout } = await lab.run('outsider', command, { timeoutMs: 20_000 })
      return JSON.parse(stdout)
    }

    it.each<[TopologyName, object]>([
      ['home-pcp', {}],
      ['home-nat-pmp', {}],
      ['home-nat-pmp', { natUpnp: false }],
      ['home-igd1', {}],
      ['home-igd1', { natUpnp: 'permanent', natPmp: false }]
    ])('a seed behind %s with %j is reached from outside, and destroy() calls back', async (topology, options) => {
      await using lab = await openLab(withPeers(topology))
      const seed = await startSeed(lab, options)
      const { infoHash, natApi } = await seed.next()
      expect(natApi).toBe(join(await built, 'nat-api', 'dist', 'index.js'))
      await expect
        .poll(() => lab.rules(), { timeout: 10_000 })
        .toMatchObject([{ protocol: 'tcp', externalPort: 6881, internalPort: 6881 }])
      expect(await download(lab, infoHash)).toMatchObject({ event: 'done', downloaded: 1_000_000 })
      seed.end()
      const destroyed = await seed.next()
      expect(destroyed).toMatchObject({ event: 'destroyed' })
      expect(destroyed).not.toHaveProperty('error')
      expect(await lab.rules()).toEqual([])
      expect(await seed.exited).toEqual([0, null])
    })

    it('a seed without a router that maps ports is destroyed as well', async () => {
      await using lab = await openLab('silent')
      const seed = await startSeed(lab, {})
      await seed.next()
      seed.end()
      expect(await seed.next()).toMatchObject({ event: 'destroyed' })
      expect(await seed.exited).toEqual([0, null])
    })
  }
)
