import type { Report } from '@postern/core'
import { type DaemonPlan, type Lab, type Topology, type TopologyName, topologies } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { command, doctorReport, enter, folder, posternIn, support, why } from '../../../support/in-lab.js'

type Around = NonNullable<Report['neighbourhood']>

async function aroundIn(lab: Lab, ...args: readonly string[]): Promise<Around> {
  const { neighbourhood } = await doctorReport(lab, ...args)
  if (neighbourhood === undefined) throw new Error('the report has no neighbourhood')
  return neighbourhood
}

/** Maps a port with another `postern`, and resolves when it is mapped. */
async function occupy(lab: Lab, host: string, ...ports: readonly string[]): Promise<void> {
  await command(lab, ['map', ...ports, '--via', 'upnp', '--json'], await folder(), host).next('mapped')
}

/** Returns a home whose router names itself as given. */
function homeWith(device: NonNullable<DaemonPlan['device']>, base: TopologyName = 'home'): Topology {
  const home = topologies.find(({ name }) => name === base)
  const router = home?.hosts['router']
  if (home === undefined || router?.router === undefined || typeof router.router.mapping === 'string')
    throw new Error('the lab has no home with a mapping service')
  const mapping = { ...router.router.mapping, device }
  return { ...home, hosts: { ...home.hosts, router: { ...router, router: { ...router.router, mapping } } } }
}

describe.skipIf(!support.ok).concurrent(`postern doctor about the router${why}`, { timeout: 60_000 }, () => {
  it('doctor names the make and model of a router that describes itself', async () => {
    const lab = await enter(homeWith({ manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590' }))
    const { gateway, neighbourhood } = await doctorReport(lab)
    const device = { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: 'router' }
    expect(gateway?.device).toEqual(device)
    expect(neighbourhood).toMatchObject({ router: device, mappings: { oddities: [], heldByOthers: [] } })
    const { stdout } = await posternIn(lab, ['doctor', '--dry-run'])
    expect(stdout).toContain('Gateway: 192.168.1.1 on eth0, which calls itself AVM FRITZ!Box 7590')
    expect(stdout).not.toContain('Neighbourhood')
  })

  it.each(['home-pcp', 'no-daemon', 'silent'] as const)(
    'doctor in %s names no router, because none describes itself',
    async (topology) => {
      const lab = await enter(topology)
      const { gateway, neighbourhood } = await doctorReport(lab)
      expect(gateway).not.toHaveProperty('device')
      expect(neighbourhood?.router).toBeNull()
    }
  )

  it('doctor names the other host that holds the port, and the port stays with it', async () => {
    const lab = await enter('home-upnp')
    await occupy(lab, 'neighbour', '8080')
    const before = await lab.rules()
    const { mappings } = await aroundIn(lab, '--port', '8080')
    expect(mappings?.heldByOthers).toEqual([
      {
        protocol: 'tcp',
        externalPort: 8080,
        internal: { address: '192.168.1.3', port: 8080 },
        description: 'postern',
        lifetimeSeconds: expect.any(Number),
        program: null
      }
    ])
    const { stdout } = await posternIn(lab, ['doctor', '--port', '8080'])
    expect(stdout).toContain(
      'Taken: the router maps external TCP port 8080 to 192.168.1.3, port 8080 as "postern", for '
    )
    expect(stdout).toContain('→ Choose another external port, or end what holds TCP port 8080')
    expect(await lab.rules()).toEqual(before)
  })

  it('doctor names the program of this host that holds the port', async () => {
    const lab = await enter('home')
    const server = `require('node:net').createServer().listen(9090, () => console.log('ready'))`
    const child = lab.spawn('home', [process.execPath, '-e', server], { stdio: 'pipe' })
    await new Promise((resolve) => child.stdout?.once('data', resolve))
    await occupy(lab, 'home', '9090', '--external-port', '8080')
    const { mappings } = await aroundIn(lab, '--port', '8080')
    expect(mappings?.heldByOthers).toMatchObject([
      {
        externalPort: 8080,
        internal: { address: '192.168.1.2', port: 9090 },
        program: expect.stringMatching(/ \(process \d+\)$/)
      }
    ])
  })

  it('doctor names no other host if none holds the port', async () => {
    const lab = await enter('home-upnp')
    await occupy(lab, 'neighbour', '8081')
    expect((await aroundIn(lab, '--port', '8080')).mappings).toEqual({
      oddities: [],
      listed: 2,
      heldByOthers: []
    })
  })

  it('doctor does not take a router for full that refuses a port by its rules', async () => {
    const lab = await enter(homeWith({ manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590' }, 'home-upnp'))
    const { advice, cause, neighbourhood } = await doctorReport(lab, '--port', '443')
    expect(cause).toBe('gateway-refused')
    expect(neighbourhood?.mappings).toEqual({ oddities: ['table-full'], listed: 0, heldByOthers: [] })
    expect(advice).toContainEqual(expect.stringMatching(/^Try another port, above 1023 for example: /))
    expect(advice).toContainEqual(expect.stringMatching(/^In the settings of this router, AVM FRITZ!Box 7590: /))
  })
})
