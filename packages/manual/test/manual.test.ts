import type { Finding, Host, Lease, Mapper, Network } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type ManualOptions, manual } from '../src/index.js'

const host: Host = { clock: virtualClock(), random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
const behindNat: Network = { gateways: [], addresses: ['192.168.1.2'] }
const call = { signal: new AbortController().signal }

async function discover(options: ManualOptions, network: Network = behindNat): Promise<readonly Mapper[]> {
  const found: Finding[] = []
  await manual(options)(host).discover(network, (finding) => found.push(finding), call)
  return found.filter((finding) => finding.kind === 'mapper')
}

const map = (mapper: Mapper | undefined, protocol: 'tcp' | 'udp' = 'tcp'): Promise<Lease> => {
  if (mapper === undefined) throw new Error('no mapper')
  const endpoint = { protocol, family: mapper.family, address: '192.168.1.2', port: 8080 }
  return mapper.map({ endpoint, suggestedExternalPort: 8080, lifetimeMs: 1000, key: new Uint8Array(16) }, call)
}

describe('manual', () => {
  it('manual finds a mapper without a gateway, for the protocol of its address', async () => {
    const [mapper] = await discover({ address: '/ip4/11.0.0.2/tcp/9000' })
    expect(mapper).toMatchObject({ gateway: null, family: 4, protocols: ['tcp'] })
    const lease = await map(mapper)
    expect(lease.addresses).toEqual(['/ip4/11.0.0.2/tcp/9000'])
    expect(lease.lifetimeMs).toBe(Number.POSITIVE_INFINITY)
    expect((await lease.renew(call)).addresses).toEqual(lease.addresses)
    await lease.release(call)
    await lease.release(call)
  })

  it('manual with an address and a port serves both protocols', async () => {
    const [mapper] = await discover({ address: '/ip6/2a00::7', port: 4001 })
    expect(mapper).toMatchObject({ family: 6, protocols: ['tcp', 'udp'] })
    expect((await map(mapper, 'udp')).addresses).toEqual(['/ip6/2a00::7/udp/4001'])
  })

  it('manual with only a port uses the public addresses of this host', async () => {
    const mappers = await discover({ port: 9000 }, { gateways: [], addresses: ['11.0.0.9', '192.168.1.2', '2a00::9'] })
    expect(await Promise.all(mappers.map(async (mapper) => (await map(mapper)).addresses))).toEqual([
      ['/ip4/11.0.0.9/tcp/9000'],
      ['/ip6/2a00::9/tcp/9000']
    ])
  })

  it('manual with only a port leaves the IPv4 address open if this host has no public one', async () => {
    const mappers = await discover({ port: 9000 }, { gateways: [], addresses: ['192.168.1.2', '2a00::9'] })
    const leases = await Promise.all(mappers.map((mapper) => map(mapper)))
    expect(leases.map(({ addresses, caveat }) => [addresses, caveat?.code])).toEqual([
      [['/ip4/0.0.0.0/tcp/9000'], 'EXTERNAL_ADDRESS_UNKNOWN'],
      [['/ip6/2a00::9/tcp/9000'], undefined]
    ])
  })

  it.each([
    ['192.168.1.2', "this host's own address in the local network"],
    ['10.0.0.1', 'a private address'],
    ['100.64.0.1', 'a carrier-grade address'],
    ['203.0.113.7', 'a documentation address'],
    ['127.0.0.1', 'a loopback address']
  ])('manual rejects %s as not routable and says why', async (address, why) => {
    await expect(discover({ address: `/ip4/${address}/tcp/80` })).rejects.toMatchObject({
      code: 'ADDRESS_NOT_ROUTABLE',
      message: expect.stringContaining(why)
    })
  })

  it.each([
    {},
    { port: 0 },
    { port: 65_536 },
    { port: 1.5 },
    { address: '/ip4/11.0.0.2' },
    { address: '/ip4/11.0.0.2/tcp/0' },
    { address: '/ip4/11.0.0.2/tcp/80/ws' },
    { address: '/ip4/0.0.0.0/tcp/80' },
    { address: '/dns/example.com/tcp/80' },
    { address: '/ip4/11.0.0.2/tcp/80', port: 81 }
  ] as const)('manual throws a TypeError for %j', (options) => {
    expect(() => manual(options)).toThrow(TypeError)
  })
})
