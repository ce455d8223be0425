import { type BeyondNextHop, type BeyondNextHopOptions, searchBeyondNextHop } from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { pcp } from '../src/index.js'

const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })

const searches = new Set<BeyondNextHop>()
afterEach(async () => {
  for (const { end } of searches) {
    const { sockets, timers, violations } = await end()
    expect([sockets, timers, violations.filter((text) => !text.startsWith('pcp: client address'))]).toEqual([0, 0, []])
  }
  searches.clear()
})

function search(options: BeyondNextHopOptions = {}): BeyondNextHop {
  // A named gateway is one in the network of this host, and does not keep the strategy from asking behind it.
  const begun = searchBeyondNextHop((host, gateway) => pcp({ openUdp: host.openUdp, gateway }), options)
  searches.add(begun)
  return begun
}

describe('a router behind the next hop', () => {
  it('pcp maps the port of the next hop there, and deletes it', async () => {
    const { clock, gateway, found, mapper, request } = search()
    await clock.advance(500)
    expect(found).toHaveLength(1)
    expect(mapper().gateway?.address).toBe('192.168.0.1')
    const lease = await mapper().map(request, call())
    expect([lease.addresses, lease.lifetimeMs]).toEqual([['/ip4/11.0.0.2/tcp/8080'], 600_000])
    expect(gateway.mappings).toMatchObject([{ internalAddress: '192.168.0.2', internalPort: 8081 }])
    await lease.release(call())
    expect(gateway.mappings).toEqual([])
  })

  it('pcp finds none where nothing answers, after one round', async () => {
    const { clock, gateway, found } = search({ prepare: (each) => each.inject({ kind: 'silent' }) })
    await clock.advance(600_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'NO_REPLY' } },
      { what: 'absent', reason: { code: 'NO_REPLY' } }
    ])
    expect(gateway.counters.pcp.requests).toBe(4)
  })

  it('pcp leaves the next hop out, which sees this host at another address', async () => {
    const { clock, found } = search({ isTranslated: false })
    await clock.advance(10_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'ADDRESS_MISMATCH' } },
      { what: 'absent', reason: { code: 'NO_REPLY' } }
    ])
  })

  it('pcp notices from its answers that the router has restarted', async () => {
    const { clock, gateway, found, mapper, request } = search()
    await clock.advance(500)
    const lease = await mapper().map(request, call())
    await clock.advance(60_000)
    gateway.reboot()
    await lease.renew(call())
    expect(found.filter((each) => each.kind === 'notice' && each.what !== 'absent')).toMatchObject([
      { what: 'restarted' }
    ])
  })

  it('pcp asks nothing if the next hop does not tell the address at which the router sees this host', async () => {
    const { clock, gateway, found } = search({ isClientAddressKnown: false })
    await clock.advance(10_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'ADDRESS_MISMATCH' } },
      { what: 'absent', reason: { code: 'ADDRESS_MISMATCH' } }
    ])
    expect(gateway.counters.pcp.requests).toBe(0)
  })

  it('pcp asks with the address of the next hop, and is refused with another one', async () => {
    const { clock, mapper, request } = search()
    await clock.advance(500)
    const wrong = { ...request, endpoint: { ...request.endpoint, address: '192.168.0.9' } }
    await expect(mapper().map(wrong, call())).rejects.toMatchObject({ code: 'ADDRESS_MISMATCH' })
  })
})
