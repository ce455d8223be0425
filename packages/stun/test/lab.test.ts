import { join } from 'node:path'
import { canRunLab, type Lab, openLab, type RouterPlan, type TopologyName, withRouter, withStun } from '@postern/lab'
import { afterEach, describe, expect, it } from 'vitest'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (skipped: ${support.reason})`
const program = join(import.meta.dirname, 'support', 'look.mjs')
const alpha = { address: '21.0.0.1', port: 3478 }
const other = { address: '21.0.0.2', port: 3479 }

describe.skipIf(!support.ok)(`against coturn, behind a NAT of the kernel${skipped}`, { timeout: 60_000 }, () => {
  const open: Lab[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((lab) => lab.close()))
  })

  /** A topology with STUN servers at alpha and bravo, and the given router. */
  async function enter(name: TopologyName, plan: Partial<RouterPlan> = {}): Promise<Lab> {
    const lab = await openLab(withStun(withRouter(name, plan)))
    open.push(lab)
    return lab
  }
  const look = async (lab: Lab, task: string, options: object, host = 'home'): Promise<unknown> => {
    const settings = JSON.stringify({ address: lab.address(host), ...options })
    const { stdout, stderr } = await lab.run(host, [process.execPath, program, task, settings], { timeoutMs: 50_000 })
    if (stdout.trim() === '') throw new Error(`nothing was said: ${stderr}`)
    return JSON.parse(stdout) as unknown
  }

  const filterings = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const
  const cells = (['port-preserving', 'port-changing', 'symmetric'] as const).flatMap((nat) =>
    filterings.map((filtering) => ({ nat, filtering }))
  )

  it.each(cells)('discoverBehaviour is right for $nat with $filtering filtering', async ({ nat, filtering }) => {
    const lab = await enter('no-daemon', { nat, filtering })
    const isEven = nat !== 'symmetric'
    const ports = { 'port-preserving': 6000, 'port-changing': 22_384, symmetric: expect.any(Number) as number }
    expect(await look(lab, 'behaviour', { server: alpha })).toEqual({
      mapped: { address: '11.0.0.2', port: ports[nat] },
      other,
      mapping: isEven ? 'endpoint-independent' : 'address-and-port-dependent',
      filtering,
      ...(isEven ? { hairpin: 'fails' } : {})
    })
  })

  it.each(filterings)('discoverBehaviour finds the hairpinning of a router with %s filtering', async (filtering) => {
    const lab = await enter('no-daemon', { filtering, hairpin: true })
    expect(await look(lab, 'behaviour', { server: alpha })).toMatchObject({ filtering, hairpin: 'works' })
  })

  it('discoverBehaviour finds no NAT for a host without one', async () => {
    const lab = await enter('no-daemon')
    expect(await look(lab, 'behaviour', { server: alpha }, 'charlie')).toEqual({
      mapped: { address: '41.0.0.1', port: 6000 },
      other,
      mapping: 'endpoint-independent',
      filtering: 'endpoint-independent'
    })
  })

  it('discoverBehaviour finds no NAT but a filtering firewall over IPv6', async () => {
    const lab = await enter('ipv6-firewall')
    const address = lab.address6('home')
    const server = { address: '2a21::1', port: 3478 }
    expect(await look(lab, 'behaviour', { server, address, family: 6 })).toEqual({
      mapped: { address, port: 6000 },
      other: { address: '2a21::2', port: 3479 },
      mapping: 'endpoint-independent',
      filtering: 'address-and-port-dependent'
    })
  })

  it('stun asks over the socket of the program and leaves no listener on it', async () => {
    const lab = await enter('no-daemon')
    const address = '/ip4/11.0.0.2/udp/6000'
    expect(await look(lab, 'observe', { servers: ['21.0.0.1', '31.0.0.1'] })).toEqual({
      observations: [
        {
          address,
          mapping: 'endpoint-independent',
          filtering: 'address-and-port-dependent',
          hairpin: 'fails'
        },
        { address }
      ],
      listeners: 1
    })
  })

  it('stun reports NO_REPLY if UDP is blocked', async () => {
    const lab = await enter('udp-blocked')
    expect(await look(lab, 'observe', { servers: ['21.0.0.1'], requests: 2 })).toMatchObject({
      observations: [{ failed: { code: 'NO_REPLY' } }]
    })
    expect(await look(lab, 'tcp', { servers: [alpha], localPort: 7000 })).toMatchObject([
      { mapped: { address: '11.0.0.2', port: 7000 } }
    ])
  })

  it.each([
    { name: 'no-daemon', same: true },
    { name: 'symmetric', same: false }
  ] as const)(
    '$name: TCP from one local port is seen by two servers at the same port: $same',
    async ({ name, same }) => {
      const lab = await enter(name)
      const servers = [alpha, { address: '31.0.0.1', port: 3478 }]
      const seen = (await look(lab, 'tcp', { servers, localPort: 7000 })) as {
        mapped: { address: string; port: number }
      }[]
      expect(seen.map(({ mapped }) => mapped.address)).toEqual(['11.0.0.2', '11.0.0.2'])
      expect(seen[0]?.mapped.port === seen[1]?.mapped.port).toBe(same)
    }
  )

  it('discoverLifetime distinguishes a short mapping lifetime from a long one', async () => {
    const options = { server: alpha, maxMs: 4000, precisionMs: 4000 }
    const short = await enter('no-daemon', { mappingLifetimeMs: 2000 })
    expect(await look(short, 'lifetime', options)).toEqual({ atLeastMs: 0, lessThanMs: 4000 })
    const long = await enter('no-daemon', { mappingLifetimeMs: 600_000 })
    // JSON cannot represent Infinity.
    expect(await look(long, 'lifetime', options)).toEqual({ atLeastMs: 4000, lessThanMs: null })
  })
})
