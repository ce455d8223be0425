import type { CallOptions, Finding, Host, Lease } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { portService } from '../src/index.js'
import { createWorld, externalAddress, type ServiceWorld } from './world.js'

const call = { signal: new AbortController().signal }

/** Maps a port through the service of a world, whose clock stands still until a test moves it. */
async function map(
  { clock, network, service }: ServiceWorld,
  port: number,
  mapCall: CallOptions = call
): Promise<Lease> {
  const host: Host = { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  const found: Finding[] = []
  await portService({ externalAddress, service })(host).discover(network, (finding) => void found.push(finding), call)
  const [mapper] = found
  if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
  const endpoint = { protocol: 'tcp', family: 4, address: '192.168.1.10', port } as const
  return mapper.map({ endpoint, suggestedExternalPort: port, lifetimeMs: 7_200_000, key: new Uint8Array(16) }, mapCall)
}

describe('a port service', () => {
  it('opens the port, and closes it on release', async () => {
    const world = createWorld()
    const mapped = map(world, 8080)
    await world.clock.advance(5)
    const lease = await mapped
    expect(lease.addresses).toEqual(['/ip4/1.2.3.4/tcp/8080'])
    expect([...world.openPorts]).toEqual([8080])

    const released = lease.release(call)
    await world.clock.advance(5)
    await released
    expect([...world.openPorts]).toEqual([])
  })

  it('rejects with NOT_AUTHORIZED when it refuses the port', async () => {
    const world = createWorld()
    const outcome = map(world, 80).catch((error: unknown) => error)
    await world.clock.advance(5)
    expect(await outcome).toMatchObject({ code: 'NOT_AUTHORIZED' })
  })

  it('gives up closing the port of an aborted call after 400 ms of silence', async () => {
    const world = createWorld()
    await world.faults?.silence?.()
    const caller = new AbortController()
    const outcome = map(world, 8080, caller).catch((error: unknown) => error)
    await world.clock.advance(1000)
    const reason = new Error('the caller gave up')
    caller.abort(reason)
    await world.clock.advance(400)
    expect(await outcome).toBe(reason)
    expect(world.clock.pending).toBe(0)
  })

  it('throws a TypeError for an external address that is not an IPv4 address', () => {
    const { service } = createWorld()
    expect(() => portService({ externalAddress: 'example.org', service })).toThrow(TypeError)
  })
})
