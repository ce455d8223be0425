import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Lab, TopologyName } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { command, enter, folder, follow, type Running, support, why } from '../../support/in-lab.js'

const index = JSON.stringify(fileURLToPath(new URL('../../../../node/dist/index.js', import.meta.url)))
/** Runs servers that are exposed until SIGTERM, in one process or in two workers of a cluster. */
const app = (servers: string, isCluster = false): string => `
  const cluster = (await import('node:cluster')).default
  const net = await import('node:net'), http = await import('node:http'), dgram = await import('node:dgram')
  const tell = (event) => console.log(JSON.stringify(event))
  if (${String(isCluster)} && cluster.isPrimary) {
    const workers = [cluster.fork(), cluster.fork()]
    process.on('SIGTERM', () => workers.forEach((each) => each.kill('SIGTERM')))
  } else {
    const { expose } = await import(${index})
    const names = ['mapped', 'renewed', 'lost', 'released', 'shared']
    const on = Object.fromEntries(names.map((name) => [name, ({ detail }) => tell(detail)]))
    process.on('warning', ({ message }) => tell({ event: 'failed', message }))
    const servers = ${servers}
    const exposures = await Promise.all(servers.map((each) => expose(each, { on })))
    tell({ event: 'ready', verdicts: exposures.map((each) => each.report().verdict) })
    process.once('SIGTERM', async () => {
      await Promise.all(exposures.map((each) => each.close()))
      tell({ event: 'stopped' })
      process.exit(0)
    })
  }`
const one = `[net.createServer().listen(8080)]`

async function run(lab: Lab, text: string, state: string): Promise<Running> {
  const script = join(await folder(), 'app.mjs')
  await writeFile(script, text)
  const env = { XDG_STATE_HOME: state }
  return follow(lab.spawn('home', [process.execPath, script], { stdio: 'pipe', env }))
}

describe.skipIf(!support.ok).concurrent(`a port of two programs${why}`, { timeout: 60_000 }, () => {
  it.each(['home', 'home-upnp', 'home-nat-pmp', 'home-pcp'] satisfies TopologyName[])(
    'in %s stays mapped for a program when `postern map` ends beside it, and the other way round',
    async (name) => {
      const lab = await enter(name)
      const state = await folder()
      const first = await run(lab, app(one), state)
      await first.next('ready')
      const map = command(lab, ['map', '8080', '--json'], state)
      const shared = await map.next('shared')
      expect(shared.owners).toEqual([{ pid: expect.any(Number), program: 'app' }])
      expect(await lab.rules()).toHaveLength(1)
      map.child.kill('SIGINT')
      expect(await map.ended).toBe(0)
      expect(await lab.rules()).toHaveLength(1)

      const second = command(lab, ['map', '8080', '--json'], state)
      await second.next('shared')
      first.child.kill('SIGTERM')
      await first.next('stopped')
      await first.ended
      expect(await lab.rules()).toHaveLength(1)
      second.child.kill('SIGTERM')
      await second.next('released')
      expect(await second.ended).toBe(0)
      expect(await lab.rules()).toEqual([])
      expect([...first.told, ...map.told, ...second.told].map(({ event }) => event)).not.toContain('lost')
    }
  )

  it.each([
    ['one server exposed twice', '[...Array(2)].map(() => server)', false, 1],
    ['two servers, HTTP and TCP', '[server, http.createServer().listen(8443)]', false, 2],
    ['TCP and UDP', `[server, dgram.createSocket('udp4').bind(8080)]`, false, 2],
    ['two workers of a cluster', '[server]', true, 1]
  ])(
    'a port of two programs has no rule left, and there is no warning about a file, after %s',
    async (_, servers, isCluster, rules) => {
      const lab = await enter('home')
      const text = app(servers, isCluster).replace(
        'const servers =',
        'const server = net.createServer().listen(8080)\n    const servers ='
      )
      const running = await run(lab, text, await folder())
      await running.next('ready')
      if (isCluster) await running.next('ready')
      expect(await lab.rules()).toHaveLength(rules)
      running.child.kill('SIGTERM')
      await running.next('stopped')
      await running.ended
      expect(await lab.rules()).toEqual([])
      const failed = running.told.filter(({ event }) => event === 'failed')
      // Two workers are two processes with one default file; the second one gets a hint to use its own.
      expect(failed).toHaveLength(isCluster ? 1 : 0)
    }
  )
})
