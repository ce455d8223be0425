import type { Finding, Gateway, Mapper, MapRequest } from '@postern/interface'
import { createGateway, type FakeGateway, memoryNetwork, type VirtualClock, virtualClock } from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { natPmp } from '../src/index.js'

const ours = '192.168.1.2'
const nextHop: Gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: ours }
const clientAddress = '192.168.0.2'
const beyond = (address: string): Gateway => ({
  address,
  interface: 'eth0',
  localAddress: ours,
  through: { gateway: nextHop, clientAddress }
})
const request: MapRequest = {
  endpoint: { protocol: 'tcp', family: 4, address: clientAddress, port: 8081 },
  suggestedExternalPort: 8080,
  lifetimeMs: 600_000,
  key: new Uint8Array(16)
}
const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })

const stops = new Set<() => Promise<void>>()
afterEach(async () => {
  for (const stop of stops) await stop()
  stops.clear()
})

/** Searches for a router at 192.168.0.1 or 192.168.0.254. */
function search(
  prepare: (gateway: FakeGateway) => void = () => undefined,
  { behind = clientAddress }: { behind?: string | undefined } = {}
): { clock: VirtualClock; gateway: FakeGateway; found: readonly Finding[]; mapper: () => Mapper } {
  const clock = virtualClock()
  const link = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: '11.0.0.2' })
  link.attach(gateway, '192.168.0.1', behind === '' ? {} : { behind })
  prepare(gateway)
  const found: Finding[] = []
  const end = new AbortController()
  const log = { debug: () => undefined, info: () => undefined }
  // A named gateway is one in the network of this host, and does not keep the strategy from asking behind it.
  const options = { openUdp: link.host(ours).openUdp, gateway: nextHop.address }
  const discovery = natPmp(options)({ clock, random: () => 0.5, log })
  expect(discovery.asksBeyond).toBe(true)
  const network = { gateways: [beyond('192.168.0.1'), beyond('192.168.0.254')], addresses: [clientAddress] }
  const running = discovery.discover(network, (finding) => found.push(finding), end)
  stops.add(async () => {
    end.abort()
    await clock.advance(0)
    await running
    expect([link.openSockets, clock.pending, gateway.violations]).toEqual([0, 0, []])
  })
  return {
    clock,
    gateway,
    found,
    mapper() {
      const mapper = found.find((finding) => finding.kind === 'mapper')
      if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
      return mapper
    }
  }
}

describe('a router behind the next hop', () => {
  it('natPmp maps the port of the next hop there, and deletes it', async () => {
    const { clock, gateway, found, mapper } = search()
    await clock.advance(500)
    expect(found).toHaveLength(1)
    expect(mapper().gateway?.address).toBe('192.168.0.1')
    const lease = await mapper().map(request, call())
    expect([lease.addresses, lease.lifetimeMs]).toEqual([['/ip4/11.0.0.2/tcp/8080'], 600_000])
    expect(gateway.mappings).toMatchObject([{ internalAddress: clientAddress, internalPort: 8081 }])
    await lease.release(call())
    expect(gateway.mappings).toEqual([])
  })

  it('natPmp finds none where nothing answers, after one round', async () => {
    const { clock, gateway, found } = search((each) => each.inject({ kind: 'silent' }))
    await clock.advance(600_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'NO_REPLY' } },
      { what: 'absent', reason: { code: 'NO_REPLY' } }
    ])
    expect(gateway.counters['nat-pmp'].requests).toBe(4)
  })

  it('natPmp leaves the next hop out, which answers at another of its addresses too', async () => {
    const { clock, found } = search(undefined, { behind: '' })
    await clock.advance(10_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'SECONDARY_GATEWAY' } },
      { what: 'absent', reason: { code: 'NO_REPLY' } }
    ])
  })

  it('natPmp notices from its answers that the router has restarted', async () => {
    const { clock, gateway, found, mapper } = search()
    await clock.advance(500)
    const lease = await mapper().map(request, call())
    await clock.advance(60_000)
    gateway.reboot()
    await lease.renew(call())
    expect(found.filter((each) => each.kind === 'notice' && each.what !== 'absent')).toMatchObject([
      { what: 'restarted' }
    ])
  })
})
