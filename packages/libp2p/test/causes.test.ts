import type { Cause } from '@postern/core'
import { type TopologyName, withRouter } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { openWorld, skipped, support } from './support/world.js'

const cases: readonly (readonly [TopologyName, Cause])[] = [
  ['carrier-nat', 'carrier-nat'],
  ['carrier-nat-upnp', 'reserved-external-address'],
  ['symmetric', 'no-mapping-service'],
  ['udp-blocked', 'no-mapping-service'],
  ['lying', 'mapping-not-honoured']
]

describe.skipIf(!support.ok)(`a network without a direct address${skipped}`, { timeout: 60_000 }, () => {
  it.each(cases)(
    'a node behind %s is relayed with the cause %s and announces only relayed addresses',
    async (topology, cause) => {
      await using world = await openWorld(topology)
      await using home = await world.startHome()
      await home.until((line) => line.event === 'verdict' && line['verdict'] === 'relayed' && line['cause'] === cause)
      const announced = (await home.addresses()).filter((address) => !/^\/ip4\/(127|192)\./.test(address))
      expect(announced.length).toBeGreaterThan(0)
      expect(announced.filter((address) => !address.includes('/p2p-circuit'))).toEqual([])
      expect(home.said.some(({ event }) => event === 'verified')).toBe(false)
    }
  )
})

describe.skipIf(!support.ok)(`a manual port forward${skipped}`, { timeout: 60_000 }, () => {
  const strategies = [['manual', { address: '/ip4/11.0.0.2/tcp/4001' }], ['relay'], ['autonat']] as const

  it('a configured address is verified if the port forward exists', async () => {
    await using world = await openWorld('home-nat-pmp')
    await world.lab.run('home', ['natpmpc', '-a', '4001', '4001', 'tcp', '3600'])
    await using home = await world.startHome({ nat: { strategies } })
    await home.until(({ event }) => event === 'verified')
    expect(await home.addresses()).toContain(`/ip4/11.0.0.2/tcp/4001/p2p/${home.peerId}`)
  })

  const portForwards = [{ externalPort: 5001, address: '192.168.1.2', internalPort: 4001 }]
  it.each([
    { name: 'cloud', port: 4001, topology: 'cloud' },
    { name: 'dmz', port: 4001, topology: 'dmz' },
    { name: 'forwarded', port: 4001, topology: 'forwarded' },
    { name: 'forwarded', port: 5001, topology: withRouter('forwarded', { portForwards }) }
  ] as const)('a configured address in $name is verified at port $port', async ({ port, topology }) => {
    await using world = await openWorld(topology)
    const manual = ['manual', { address: `/ip4/11.0.0.2/tcp/${port}` }] as const
    await using home = await world.startHome({ nat: { strategies: [manual, ['relay'], ['autonat']] } })
    await home.until(({ event }) => event === 'verified')
    expect(await home.addresses()).toContain(`/ip4/11.0.0.2/tcp/${port}/p2p/${home.peerId}`)
  })

  it('a configured address without a port forward is refuted, with advice', async () => {
    await using world = await openWorld('no-daemon')
    await using home = await world.startHome({ nat: { strategies } })
    await home.until(({ event }) => event === 'refuted')
    await home.until(({ event, verdict }) => event === 'verdict' && verdict === 'relayed')
    const { cause, advice } = await home.report()
    expect(cause).toBe('blocked')
    expect(advice.length).toBeGreaterThan(0)
    expect((await home.addresses()).some((address) => address.startsWith('/ip4/11.'))).toBe(false)
  })
})
