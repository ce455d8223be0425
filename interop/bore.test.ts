import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { MappingEvent, Report } from '@postern/core'
import { canRunLab, type Lab, openLab, type TopologyName, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { buildBore } from './build.mjs'

const support = await canRunLab()
const bore = support.ok ? await buildBore() : support
const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

type Line = { readonly event: string; readonly index: number; readonly ms: number } & Partial<
  Pick<MappingEvent, 'external' | 'reasons'> & { readonly reports: readonly Report[] }
>

/** A home with programs that are exposed through a bore server on `alpha`. */
interface Home extends AsyncDisposable {
  readonly lab: Lab
  /** The lines of the program at home. */
  readonly lines: readonly Line[]
  /** Resolves with the first line of this event, of those after the first `from` lines. */
  wait(event: string, from?: number, timeoutMs?: number): Promise<Line>
  /** Exchanges bytes with the given external port, as a host on the internet. */
  outside(port: number, bytes?: number): Promise<unknown>
  startServer(): Promise<void>
  killServer(): Promise<void>
  /** Ends the program at home, which releases its ports. */
  close(): Promise<Line>
  /** Kills the program at home, and starts it again. */
  restart(): Promise<void>
}

async function home(topology: TopologyName, options: readonly object[], ...flags: readonly string[]): Promise<Home> {
  if (!bore.ok) throw new Error(bore.reason)
  const program = bore.path
  const lab = await openLab(withPeers(topology))
  const lines: Line[] = []
  let [server, client]: ChildProcess[] = []
  const watchers = new Set<() => void>()
  const run = async (): Promise<void> => {
    const texts = options.map((each) => JSON.stringify({ host: lab.address('alpha'), ...each }))
    client = lab.spawn('home', [process.execPath, path('bore-home.mjs'), ...texts], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    createInterface({ input: client.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (text) => {
      lines.push(JSON.parse(text) as Line)
      for (const watcher of watchers) watcher()
    })
  }
  const each: Home = {
    lab,
    lines,
    wait: (event, from = 0, timeoutMs = 10_000) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const line = lines.slice(from).find((other) => other.event === event)
          if (line === undefined) return
          watchers.delete(look)
          clearTimeout(timer)
          resolve(line)
        }
        const timer = setTimeout(() => {
          watchers.delete(look)
          reject(new Error(`${timeoutMs} ms without "${event}": ${JSON.stringify(lines)}`))
        }, timeoutMs)
        watchers.add(look)
        look()
      }),
    async outside(port, bytes = 5) {
      const address = lab.address('alpha')
      const command = [process.execPath, path('bore-outside.mjs'), address, String(port), String(bytes)]
      const { stdout } = await lab.run('outsider', command, { timeoutMs: 20_000 })
      return stdout === '' ? undefined : JSON.parse(stdout)
    },
    async startServer() {
      server = lab.spawn('alpha', [program, 'server', ...flags], { stdio: 'ignore' })
      const listens = 'until ss -ltn | grep -q :7835; do sleep 0.05; done'
      await lab.run('alpha', ['sh', '-c', listens], { timeoutMs: 5000 })
    },
    async killServer() {
      server?.kill('SIGKILL')
      if (server !== undefined) await once(server, 'close')
    },
    async close() {
      client?.stdin?.end()
      return each.wait('closed')
    },
    async restart() {
      client?.kill('SIGKILL')
      if (client !== undefined) await once(client, 'close')
      await run()
    },
    [Symbol.asyncDispose]: () => lab.close()
  }
  try {
    await each.startServer()
    await run()
    return each
  } catch (error) {
    await lab.close()
    throw error
  }
}

const why = bore.ok ? '' : ` (skipped: ${bore.reason})`
describe.skipIf(!bore.ok)(`a server at home through bore${why}`, { timeout: 60_000 }, () => {
  it.each(['no-daemon', 'carrier-nat', 'symmetric'] as const)(
    'is reached from outside of %s, with 8 MB each way and an end each way',
    async (topology) => {
      await using each = await home(topology, [{ externalPort: 9001 }])
      await each.wait('mapped')
      expect(await each.outside(9001, 8_000_000)).toEqual({ server: '0', isSame: true })
      expect(await Promise.all([0, 1, 70_000].map((bytes) => each.outside(9001, bytes)))).toEqual(
        [0, 1, 2].map(() => ({ server: '0', isSame: true }))
      )
      await each.close()
      const { reports } = await each.wait('closing')
      expect(reports?.[0]).toMatchObject({
        verdict: 'relayed',
        candidates: expect.arrayContaining([
          expect.objectContaining({ address: '/ip4/21.0.0.1/tcp/9001', type: 'relayed', strategy: 'bore' })
        ])
      })
    }
  )

  it('shares a server with another endpoint, and gives both ports back', async () => {
    await using each = await home('no-daemon', [{ externalPort: 9001 }, { externalPort: 9002 }])
    await each.wait('mapped')
    await each.wait('mapped', each.lines.findIndex(({ event }) => event === 'mapped') + 1)
    expect(await Promise.all([9001, 9002].map((port) => each.outside(port)))).toEqual([
      { server: '0', isSame: true },
      { server: '1', isSame: true }
    ])
    await each.close()
    const gone = "for i in $(seq 40); do ss -ltn | grep -qE ':900[12]' || exit 0; sleep 0.05; done; exit 1"
    expect(await each.lab.run('alpha', ['sh', '-c', gone])).toMatchObject({ code: 0 })
    expect(await each.outside(9001)).toEqual({ failed: 'ECONNREFUSED' })
  })

  it('comes back to the same port after the bore server was killed and restarted', async () => {
    await using each = await home('carrier-nat', [{ externalPort: 9001 }])
    await each.wait('mapped')
    await each.killServer()
    const { reasons } = await each.wait('lost')
    expect(reasons).toMatchObject([{ code: 'MAPPING_LOST' }])
    const from = each.lines.length
    await each.startServer()
    await each.wait('mapped', from)
    expect(await each.outside(9001)).toEqual({ server: '0', isSame: true })
  })

  it('comes back to the same port within 5 s after a silent outage', async () => {
    await using each = await home('no-daemon', [{ externalPort: 9001 }])
    await each.wait('mapped')
    await each.lab.outageBegins('router')
    expect((await each.wait('lost')).reasons).toMatchObject([{ code: 'NO_REPLY' }])
    const from = each.lines.length
    await each.lab.outageEnds('router')
    await each.wait('mapped', from, 5000)
    expect(await each.outside(9001)).toEqual({ server: '0', isSame: true })
  })

  it('comes back to the same port after its own process was killed', async () => {
    await using each = await home('no-daemon', [{ externalPort: 9001 }])
    await each.wait('mapped')
    const from = each.lines.length
    await each.restart()
    await each.wait('mapped', from)
    expect(each.lines.map(({ event }) => event)).not.toContain('failed')
    expect(await each.outside(9001)).toEqual({ server: '0', isSame: true })
  })

  it('takes another port after its address has changed, while the server holds the old connection', async () => {
    await using each = await home('no-daemon', [{ externalPort: 9001, allowOtherPort: true }])
    await each.wait('mapped')
    await each.lab.changeWanAddress('router', '11.0.0.77')
    await each.wait('lost')
    const { external } = await each.wait('mapped', each.lines.length)
    expect(external?.port).not.toBe(9001)
    expect(await each.outside(external?.port ?? 0)).toEqual({ server: '0', isSame: true })
  })

  it('takes another port if its own one is not in the range of the server, and needs the right secret', async () => {
    const flags = ['--secret', 'right', '--min-port', '20000', '--max-port', '20010'] as const
    await using each = await home('no-daemon', [{ secret: 'right' }, { secret: 'wrong' }], ...flags)
    const { external } = await each.wait('mapped')
    expect(external?.port).toBeGreaterThanOrEqual(20_000)
    expect(external?.port).toBeLessThanOrEqual(20_010)
    expect(await each.outside(external?.port ?? 0, 1_000_000)).toEqual({ server: '0', isSame: true })
    expect(await each.wait('failed')).toMatchObject({ index: 1, reasons: [{ code: 'NOT_AUTHORIZED' }] })
  })

  it('is the only thing at home that a host outside reaches', async () => {
    await using each = await home('no-daemon', [{ externalPort: 9001 }])
    await each.wait('mapped')
    const listens = await each.lab.run('alpha', ['sh', '-c', "ss -Hltn | awk '{ print $4 }' | sed 's/.*://' | sort -n"])
    expect(listens.stdout.trim().split('\n')).toEqual(['7835', '9001'])
  })
})
