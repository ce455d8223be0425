import { type BeyondNextHop, type BeyondNextHopOptions, searchBeyondNextHop } from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { upnp } from '../src/index.js'

const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })

const searches = new Set<BeyondNextHop>()
afterEach(async () => {
  for (const { end } of searches) {
    const { sockets, timers, violations } = await end()
    expect([sockets, timers, violations]).toEqual([0, 0, []])
  }
  searches.clear()
})

function search(options: BeyondNextHopOptions = {}): BeyondNextHop {
  // A named gateway is one in the network of this host, and does not keep the strategy from asking behind it.
  const begun = searchBeyondNextHop(
    (host, gateway) => upnp({ openUdp: host.openUdp, exchangeHttp: host.exchangeHttp, gateway }),
    options
  )
  searches.add(begun)
  return begun
}

describe('a router behind the next hop', () => {
  it('upnp maps the port of the next hop there, and deletes it', async () => {
    const { clock, gateway, found, mapper, within, request } = search()
    await clock.advance(5000)
    expect(found.filter(({ kind }) => kind === 'mapper')).toHaveLength(1)
    expect(mapper().gateway?.address).toBe('192.168.0.1')
    const lease = await within(mapper().map(request, call()))
    expect([lease.addresses, lease.lifetimeMs]).toEqual([['/ip4/11.0.0.2/tcp/8080'], 600_000])
    expect(gateway.mappings).toMatchObject([{ internalAddress: '192.168.0.2', internalPort: 8081 }])
    await within(lease.release(call()))
    expect(gateway.mappings).toEqual([])
  })

  it('upnp finds none where nothing answers, after one round', async () => {
    const { clock, found } = search({ prepare: (each) => each.inject({ kind: 'silent' }) })
    await clock.advance(600_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'NO_REPLY' } },
      { what: 'absent', reason: { code: 'NO_REPLY' } }
    ])
  })

  it('upnp leaves the next hop out, which answers at another of its addresses too', async () => {
    const { clock, found } = search({ isTranslated: false })
    await clock.advance(10_000)
    expect(found).toMatchObject([
      { what: 'absent', reason: { code: 'SECONDARY_GATEWAY' } },
      { what: 'absent', reason: { code: 'NO_REPLY' } }
    ])
  })

  it('upnp notices at a renewal that the router has restarted, and maps again', async () => {
    const { clock, gateway, found, mapper, within, request } = search()
    await within(clock.sleep(5000, call()))
    const lease = await within(mapper().map(request, call()))
    await clock.advance(60_000)
    gateway.reboot()
    await within(lease.renew(call()))
    expect(found.filter((each) => each.kind === 'notice' && each.what !== 'absent')).toMatchObject([
      { what: 'restarted' }
    ])
    expect(gateway.mappings).toHaveLength(1)
  })
})
