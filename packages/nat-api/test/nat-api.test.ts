import { natError } from '@postern/interface'
import { afterEach, describe, expect, it } from 'vitest'
import type { NatAPI } from '../src/index.js'
import { type Home, openHome } from './support/home.js'

const hourMs = 3_600_000
const rulesOf = ({ router }: Home): readonly string[] =>
  router.mappings
    .map(({ protocol, externalPort, internalPort }) => `${protocol} ${externalPort} → ${internalPort}`)
    .toSorted()

let opened: { readonly home: Home; readonly client: NatAPI }[] = []
/** Opens a client in a home, which is destroyed after the test. */
function open(home: Home, options: Parameters<Home['client']>[0] = {}): NatAPI {
  const client = home.client(options)
  opened.push({ home, client })
  return client
}

afterEach(async () => {
  for (const { home, client } of opened) {
    await home.done(client.destroy())
    expect(home.router.violations).toEqual([])
  }
  for (const { home } of opened) {
    expect(home.router.mappings.filter(({ internalAddress }) => internalAddress === '192.168.1.2')).toEqual([])
    expect(home.network.openSockets).toBe(0)
    expect(home.clock.pending).toBe(0)
  }
  opened = []
})

describe('map', () => {
  it('a port is mapped with both protocols, and with one if it is named', async () => {
    const home = openHome()
    const client = open(home)
    expect(await home.done(client.map(1000, 2000))).toBe(true)
    expect(await home.done(client.map({ publicPort: 3000, protocol: 'tcp' }))).toBe(true)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 2000', 'tcp 3000 → 3000', 'udp 1000 → 2000'])
  })

  it.each(['pcp', 'nat-pmp', 'upnp'] as const)('mappings are renewed for a day over %s', async (protocol) => {
    const home = openHome({ protocols: [protocol] })
    const client = open(home)
    expect(await home.done(client.map(1000))).toBe(true)
    for (let hours = 0; hours < 24; hours += 3) {
      await home.clock.advance(3 * hourMs)
      expect(rulesOf(home)).toEqual(['tcp 1000 → 1000', 'udp 1000 → 1000'])
    }
  })

  it('a mapping comes back after the router restarts', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(client.map(1000))
    home.router.reboot()
    home.router.announce()
    await home.clock.advance(60_000)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 1000', 'udp 1000 → 1000'])
  })

  it('the ttl of the client or of the call is requested, and at least 1200 s', async () => {
    const home = openHome({ protocols: ['pcp'] })
    const client = open(home, { ttl: 60 })
    const leftOf = (port: number): number | undefined => {
      const rule = home.router.mappings.find(({ externalPort }) => externalPort === port)
      return rule && Math.round((rule.expiresAt - home.clock.monotonicMs()) / 60_000)
    }
    expect(client.ttl).toBe(1200)
    await home.done(client.map({ publicPort: 1000, protocol: 'TCP' }))
    expect(leftOf(1000)).toBe(20)
    await home.done(client.map({ publicPort: 2000, protocol: 'TCP', ttl: 3600 }))
    expect(leftOf(2000)).toBe(60)
    await home.done(client.map({ publicPort: 3000, protocol: 'TCP', ttl: 1 }))
    expect(leftOf(3000)).toBe(20)
  })

  it('with autoUpdate: false a mapping ends after its ttl, which begins again with each map()', async () => {
    const home = openHome()
    const client = open(home, { autoUpdate: false, ttl: 1800 })
    await home.done(client.map(1000))
    await home.clock.advance(1_700_000)
    expect(rulesOf(home)).toHaveLength(2)
    await home.done(client.map(1000))
    await home.clock.advance(1_700_000)
    expect(rulesOf(home)).toHaveLength(2)
    await home.clock.advance(200_000)
    expect(rulesOf(home)).toEqual([])
    expect(await home.done(client.unmap(1000))).toBe(false)
  })

  it('the same port twice is one mapping, and one unmap() ends it', async () => {
    const home = openHome()
    const client = open(home)
    expect(await home.done(Promise.all([client.map(1000), client.map(1000)]))).toEqual([true, true])
    const { sent } = home.network
    expect(await client.map(1000)).toBe(true)
    expect(home.network.sent).toBe(sent)
    expect(rulesOf(home)).toHaveLength(2)
    expect(await home.done(client.unmap(1000))).toBe(true)
    expect(rulesOf(home)).toEqual([])
  })

  it('a second public port for a private port, or a second private port for a public one, fails and changes nothing', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(client.map({ publicPort: 1000, privatePort: 2000, protocol: 'TCP' }))
    expect(await home.done(client.map({ publicPort: 1001, privatePort: 2000, protocol: 'TCP' }))).toBe(false)
    expect(await home.done(client.map({ publicPort: 1000, privatePort: 2001, protocol: 'TCP' }))).toBe(false)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 2000'])
    // The other protocol has ports of its own.
    expect(await home.done(client.map({ publicPort: 1000, privatePort: 2001, protocol: 'UDP' }))).toBe(true)
  })

  it.each(['pcp', 'nat-pmp', 'upnp'] as const)(
    'a public port of another host is a failure over %s, and no other port stays mapped',
    async (protocol) => {
      const taken = { externalPort: 1000, internalAddress: '192.168.1.9', internalPort: 1000 }
      const home = openHome({ protocols: [protocol], occupied: [taken] })
      const client = open(home)
      const failed = new Promise<Error | undefined>((resolve) => {
        client.map({ publicPort: 1000, privatePort: 1000, protocol: 'TCP' }, resolve)
      })
      expect(await home.done(failed)).toMatchObject({ code: 'CONFLICT' })
      expect(home.router.mappings).toMatchObject([taken])
      await home.clock.advance(hourMs)
      expect(home.router.mappings).toMatchObject([taken])
      // Programs try the next port then.
      expect(await home.done(client.map(1001, 1000))).toBe(true)
    }
  )

  it('one of both protocols is not enough', async () => {
    const taken = { externalPort: 1000, internalAddress: '192.168.1.9', internalPort: 1000 }
    const home = openHome({ occupied: [taken] })
    const client = open(home)
    expect(await home.done(client.map(1000))).toBe(false)
  })

  it.each([
    ['private', '10.0.0.2', 'DOUBLE_NAT'],
    ['carrier-grade', '100.64.0.2', 'CARRIER_NAT'],
    ['reserved', '192.0.2.1', 'EXTERNAL_ADDRESS_RESERVED']
  ])('a mapping on a %s external address is a failure', async (_, externalAddress, code) => {
    const home = openHome({ externalAddress, protocols: ['upnp'] })
    const client = open(home)
    const failed = new Promise<Error | undefined>((resolve) => client.map(1000, resolve))
    expect(await home.done(failed)).toMatchObject({ code, message: expect.stringContaining(externalAddress) })
    expect(await home.done(client.externalIp())).toBe('')
  })

  it('a mapping on an address that lies beyond the router is a failure', async () => {
    const home = openHome()
    home.contradicted.set('1.2.3.4', natError('DOUBLE_NAT', 'that address lies beyond the router'))
    const client = open(home)
    const failed = new Promise<Error | undefined>((resolve) => client.map(1000, resolve))
    expect(await home.done(failed)).toMatchObject({ code: 'DOUBLE_NAT' })
    expect(await home.done(client.externalIp())).toBe('')
  })

  it('a router that is silent is a failure after 3 s, and at once for a later port', async () => {
    const home = openHome()
    home.router.inject({ kind: 'silent' })
    const client = open(home)
    expect(await home.done(client.map(1000))).toBe(false)
    expect(home.clock.monotonicMs()).toBeLessThan(3100)
    const sinceMs = home.clock.monotonicMs()
    expect(await home.done(client.map(2000))).toBe(false)
    expect(home.clock.monotonicMs() - sinceMs).toBeLessThan(1000)
  })

  it('after a failure the client continues to try, and a later map() tells', async () => {
    const home = openHome()
    home.unplug()
    const client = open(home)
    expect(await home.done(client.map(1000))).toBe(false)
    home.plug()
    await home.clock.advance(20_000)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 1000', 'udp 1000 → 1000'])
    expect(await client.map(1000)).toBe(true)
  })

  it('another port is not held, either, if the router grants it after the failure', async () => {
    const taken = { externalPort: 1000, internalAddress: '192.168.1.9', internalPort: 1000 }
    const home = openHome({ occupied: [taken] })
    home.unplug()
    const client = open(home)
    expect(await home.done(client.map({ publicPort: 1000, protocol: 'TCP' }))).toBe(false)
    home.plug()
    await home.clock.advance(20_000)
    expect(home.router.mappings).toMatchObject([taken])
    expect(home.router.counters.pcp.requests).toBeGreaterThan(0)
  })

  it('a failed port does not stand in the way of another one', async () => {
    const home = openHome()
    home.unplug()
    const client = open(home)
    expect(await home.done(client.map(1000, 3000))).toBe(false)
    home.plug()
    await home.clock.advance(10_000)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 3000', 'udp 1000 → 3000'])
    expect(await home.done(client.map(2000, 3000))).toBe(true)
    expect(rulesOf(home)).toEqual(['tcp 2000 → 3000', 'udp 2000 → 3000'])
  })

  it('of the ports that have failed, the last eight are tried further', async () => {
    const home = openHome()
    home.unplug()
    const client = open(home)
    for (let port = 1001; port <= 1020; port++)
      expect(await home.done(client.map({ publicPort: port, protocol: 'TCP' }))).toBe(false)
    home.plug()
    await home.clock.advance(20_000)
    expect(rulesOf(home)).toEqual([13, 14, 15, 16, 17, 18, 19, 20].map((each) => `tcp 10${each} → 10${each}`))
  })

  it('a mapping follows this host through networks', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(client.map(1000))
    home.unplug()
    await home.clock.advance(10_000)
    home.router.forget()
    home.plug()
    await home.clock.advance(20_000)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 1000', 'udp 1000 → 1000'])
  })

  it('without a strategy nothing is sent and nothing is mapped', async () => {
    const home = openHome()
    const client = open(home, { strategies: [] })
    expect(await client.map(1000)).toBe(false)
    expect(await client.externalIp()).toBe('')
    expect(home.network.sent).toBe(0)
  })
})

describe('unmap', () => {
  it('unmap() ends what it names, and says false for what was never mapped', async () => {
    const home = openHome()
    const client = open(home)
    expect(await client.unmap(1000)).toBe(false)
    await home.done(client.map(1000, 2000))
    expect(await client.unmap(2000)).toBe(false)
    expect(await client.unmap(1000, 2001)).toBe(false)
    expect(await home.done(client.unmap({ privatePort: 2000, protocol: 'udp' }))).toBe(true)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 2000'])
    expect(await home.done(client.unmap(1000))).toBe(true)
    expect(rulesOf(home)).toEqual([])
    expect(await client.unmap(1000)).toBe(false)
  })

  it('a mapping of another program is not touched', async () => {
    const taken = { externalPort: 1000, internalAddress: '192.168.1.2', internalPort: 9999 }
    const home = openHome({ occupied: [taken] })
    const client = home.client()
    expect(await client.unmap(1000)).toBe(false)
    expect(home.router.mappings).toMatchObject([taken])
    await client.destroy()
  })

  it('unmap() during map() ends both', async () => {
    const home = openHome()
    const client = open(home)
    const mapping = client.map(1000)
    expect(await home.done(client.unmap(1000))).toBe(true)
    expect(await home.done(mapping)).toBe(false)
    await home.clock.advance(hourMs)
    expect(rulesOf(home)).toEqual([])
  })

  it('a port can be mapped again at once', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(client.map(1000))
    const unmapped = client.unmap(1000)
    expect(await home.done(client.map(1000))).toBe(true)
    expect(await home.done(unmapped)).toBe(true)
    await home.clock.advance(hourMs)
    expect(rulesOf(home)).toEqual(['tcp 1000 → 1000', 'udp 1000 → 1000'])
  })

  it('a router that does not answer makes unmap() false', async () => {
    const home = openHome({ protocols: ['upnp'] })
    const client = open(home)
    await home.done(client.map({ publicPort: 1000, protocol: 'TCP' }))
    const heal = home.router.inject({ kind: 'silent' })
    expect(await home.done(client.unmap(1000))).toBe(false)
    heal()
    home.router.forget()
  })
})

describe('externalIp', () => {
  it.each(['pcp', 'nat-pmp', 'upnp'] as const)(
    'the address is found over %s, and nothing stays mapped',
    async (protocol) => {
      const home = openHome({ protocols: [protocol] })
      const client = open(home)
      expect(await home.done(Promise.all([client.externalIp(), client.externalIp()]))).toEqual(['1.2.3.4', '1.2.3.4'])
      expect(rulesOf(home)).toEqual([])
      const { sent } = home.network
      expect(await client.externalIp()).toBe('1.2.3.4')
      expect(home.network.sent).toBe(sent)
    }
  )

  it('the address of a mapping is known without a question, and follows the router', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(client.map(1000))
    const { sent } = home.network
    expect(await client.externalIp()).toBe('1.2.3.4')
    expect(home.network.sent).toBe(sent)
    home.router.setExternalAddress('5.6.7.8')
    home.router.announce()
    await home.clock.advance(60_000)
    expect(await client.externalIp()).toBe('5.6.7.8')
  })

  it('the address is empty if no router answers', async () => {
    const home = openHome()
    home.router.inject({ kind: 'silent' })
    expect(await home.done(open(home).externalIp())).toBe('')
  })
})

describe('destroy', () => {
  it('destroy() is true however often it is called, also before the first map() and at once', async () => {
    const home = openHome()
    const client = home.client()
    expect(await Promise.all([client.destroy(), client.destroy()])).toEqual([true, true])
    expect(home.network.sent).toBe(0)
    const calls = [client.map(1000), client.unmap(1000), client.externalIp(), client.map(Number.NaN)]
    for (const call of calls) await expect(call).rejects.toThrow('client is destroyed')
  })

  it('destroy() deletes all mappings, and nothing runs after it', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(Promise.all([client.map(1000), client.map(2000)]))
    expect(await home.done(client.destroy())).toBe(true)
    expect(rulesOf(home)).toEqual([])
    expect(home.clock.pending).toBe(0)
  })

  it('a client that is disposed has deleted its mappings', async () => {
    const home = openHome()
    const client = open(home)
    await home.done(client.map(1000))
    await home.done(client[Symbol.asyncDispose]())
    expect(rulesOf(home)).toEqual([])
    await expect(client.map(1000)).rejects.toThrow('client is destroyed')
  })

  it('destroy() during map() makes it false, and leaves nothing', async () => {
    const home = openHome()
    const client = open(home)
    const mapping = client.map(1000)
    const address = client.externalIp()
    expect(await home.done(client.destroy())).toBe(true)
    expect(await mapping).toBe(false)
    expect(await address).toBe('')
    expect(rulesOf(home)).toEqual([])
  })

  it('destroy() does not wait longer than 12 s for a router that is silent', async () => {
    const home = openHome()
    const client = home.client()
    await home.done(client.map(1000))
    home.router.inject({ kind: 'silent' })
    const sinceMs = home.clock.monotonicMs()
    expect(await home.done(client.destroy())).toBe(true)
    expect(home.clock.monotonicMs() - sinceMs).toBeLessThanOrEqual(12_050)
  })

  it('destroy() is true if the store fails', async () => {
    const home = openHome()
    const broken = (): Promise<never> => Promise.reject(new Error('the disk is full'))
    const client = open(home, { store: { load: broken, save: broken } })
    expect(await home.done(client.map(1000))).toBe(true)
    expect(await home.done(client.destroy())).toBe(true)
  })
})
