import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  chooseGateways,
  findNetwork,
  parseGetNetRoute,
  parseNetstat,
  parseProcArp,
  parseProcIfInet6,
  parseProcIpv6Route,
  parseProcRoute,
  type Route,
  windowsProgram
} from '../../src/index.js'

const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
const row = (link: string, destination: string, gateway: string, flags: string, metric: number, mask: string): string =>
  `${link}\t${destination}\t${gateway}\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`

describe('/proc/net/route', () => {
  it('parseProcRoute returns every default route with its metric, and no other route', () => {
    const text =
      head +
      row('eth0', '00000000', '0101A8C0', '0003', 100, '00000000') +
      row('wlan0', '00000000', 'FE01A8C0', '0003', 600, '00000000') +
      row('eth0', '0001A8C0', '00000000', '0001', 100, '00FFFFFF')
    expect(parseProcRoute(text)).toEqual([
      { family: 4, gateway: '192.168.1.1', interface: 'eth0', metric: 100 },
      { family: 4, gateway: '192.168.1.254', interface: 'wlan0', metric: 600 }
    ])
  })

  it('parseProcRoute returns a route without a next hop', () => {
    const [route] = parseProcRoute(head + row('tun0', '00000000', '00000000', '0001', 0, '00000000'))
    expect(route).toEqual({ family: 4, gateway: undefined, interface: 'tun0', metric: 0 })
  })

  it('parseProcRoute skips routes that are down or reject', () => {
    const text =
      head +
      row('eth0', '00000000', '0101A8C0', '0002', 0, '00000000') +
      row('*', '00000000', '00000000', '0201', 0, '00000000')
    expect(parseProcRoute(text)).toEqual([])
  })

  it('parseProcRoute puts the two half routes of OpenVPN before every default route', () => {
    const text =
      head +
      row('eth0', '00000000', '0101A8C0', '0003', 0, '00000000') +
      row('tun0', '00000000', '0100080A', '0003', 0, '00000080') +
      row('tun0', '00000080', '0100080A', '0003', 0, '00000080')
    const routes = parseProcRoute(text)
    expect(routes.find(({ interface: link }) => link === 'tun0')).toEqual({
      family: 4,
      gateway: '10.8.0.1',
      interface: 'tun0',
      metric: -1
    })
  })

  it('parseProcRoute never throws for any text', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseProcRoute(`${head}${text}`))))
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseProcIpv6Route(text))))
  })
})

describe('/proc/net/ipv6_route', () => {
  it('parseProcIpv6Route returns default routes without those of lo', () => {
    const zero = '0'.repeat(32)
    const text = [
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0`,
      `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo`,
      `20010db8000000000000000000000000 40 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth0`
    ].join('\n')
    expect(parseProcIpv6Route(text)).toEqual([
      { family: 6, gateway: 'fe80:0000:0000:0000:0000:0000:0000:0001', interface: 'eth0', metric: 1024 }
    ])
  })
})

describe('/proc/net/arp and if_inet6', () => {
  it('parseProcArp returns resolved neighbours, and parseProcIfInet6 addresses that are not for incoming connections', () => {
    const arp =
      'IP address       HW type     Flags       HW address            Mask     Device\n192.168.1.1      0x1         0x2         aa:bb:cc:dd:ee:ff     *        eth0\n192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        eth0\n'
    expect([...parseProcArp(arp)]).toEqual([['192.168.1.1%eth0', 'aa:bb:cc:dd:ee:ff']])
    const inet6 =
      '20010db8000000000000000000000005 02 40 00 01     eth0\n20010db8000000000000000000000006 02 40 00 80     eth0\n'
    expect([...parseProcIfInet6(inet6)]).toEqual(['2001:0db8:0000:0000:0000:0000:0000:0005'])
  })
})

describe('netstat -rn of macOS', () => {
  it('parseNetstat returns default routes in their order, with scoped ones last', () => {
    const text = `Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
default            link#21            UCSIg               utun4
127                127.0.0.1          UCS                   lo0

Internet6:
Destination                             Gateway                         Flags               Netif Expire
default                                 fe80::1%en0                     UGcg                  en0
default                                 fe80::%utun0                    UGcIg               utun0
`
    const routes = parseNetstat(text).toSorted((a, b) => a.metric - b.metric)
    expect(routes.map(({ gateway, interface: link }) => [gateway, link])).toEqual([
      ['192.168.1.1', 'en0'],
      ['fe80::1', 'en0'],
      [undefined, 'utun4'],
      ['fe80::', 'utun0']
    ])
  })
})

describe('Get-NetRoute of Windows', () => {
  it('parseGetNetRoute reads one route, several, and none', () => {
    const one = '{"NextHop":"192.168.1.1","InterfaceAlias":"Ethernet","RouteMetric":0,"InterfaceMetric":25}'
    expect(parseGetNetRoute(one)).toEqual([{ family: 4, gateway: '192.168.1.1', interface: 'Ethernet', metric: 25 }])
    expect(
      parseGetNetRoute(`[${one},{"NextHop":"::","InterfaceAlias":"VPN","RouteMetric":1,"InterfaceMetric":5}]`)
    ).toHaveLength(2)
    expect(parseGetNetRoute('')).toEqual([])
  })

  it.each(['Get-NetRoute : Access is denied.', '[', '{"NextHop":'])(
    'parseGetNetRoute throws for text that is not JSON: %s',
    (text) => {
      expect(() => parseGetNetRoute(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
    }
  )

  it.each(['null', '1', '[[]]', '{"NextHop":"10.0.0.1","InterfaceAlias":"a","RouteMetric":"x","InterfaceMetric":1}'])(
    'passes over a row that it cannot read: %s',
    (text) => {
      expect(parseGetNetRoute(text)).toEqual([])
    }
  )
})

describe('findNetwork', () => {
  const call = { signal: new AbortController().signal }
  const interfaces = () => ({
    lo: [{ address: '127.0.0.1', cidr: '127.0.0.1/8', internal: true }],
    eth0: [
      { address: '10.9.0.2', cidr: '10.9.0.2/24', internal: false },
      { address: '192.168.1.2', cidr: '192.168.1.2/24', internal: false },
      { address: 'fe80::5', cidr: 'fe80::5/64', internal: false },
      { address: '2a00::7', cidr: '2a00::7/64', internal: false },
      { address: '2a00::5', cidr: '2a00::5/64', internal: false }
    ],
    tun0: [{ address: '10.8.0.2', cidr: '10.8.0.2/24', internal: false }]
  })
  const eth0: Route = { family: 4, gateway: '192.168.1.1', interface: 'eth0', metric: 100 }
  const find = (routes: readonly Route[], source?: string) =>
    findNetwork(call, {
      interfaces,
      findRoutes: async () => routes,
      findUnfit: async () => new Set(['2a00:0000:0000:0000:0000:0000:0000:0007']),
      findSource: async (family) => (family === 4 ? source : undefined)
    })

  it('findNetwork returns the local address in the subnet of the next hop', async () => {
    const { gateways, addresses } = await find([eth0])
    expect(gateways).toEqual([{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }])
    expect(addresses).toEqual(['10.9.0.2', '192.168.1.2', '2a00::7', '2a00::5', '10.8.0.2'])
  })

  it('findNetwork puts the lowest metric first, and IPv4 before IPv6', async () => {
    const { gateways } = await find([
      { family: 6, gateway: 'fe80::1', interface: 'eth0', metric: 1 },
      eth0,
      { ...eth0, gateway: '192.168.1.254', metric: 50 }
    ])
    expect(gateways.map(({ address }) => address)).toEqual(['192.168.1.254', '192.168.1.1', 'fe80::1%eth0'])
  })

  it('findNetwork chooses a global IPv6 address that is not temporary', async () => {
    const { gateways } = await find([{ family: 6, gateway: 'fe80::1', interface: 'eth0', metric: 1 }])
    expect(gateways[0]?.localAddress).toBe('2a00::5')
  })

  it('findNetwork keeps a route without a next hop', async () => {
    const { gateways } = await find([{ family: 4, gateway: undefined, interface: 'tun0', metric: 0 }, eth0])
    expect(gateways[0]).toEqual({ address: '0.0.0.0', interface: 'tun0', localAddress: '10.8.0.2' })
  })

  it('findNetwork follows policy routing that the table of default routes does not show', async () => {
    const { gateways } = await find([eth0], '10.8.0.2')
    expect(gateways.map(({ address, interface: link }) => [address, link])).toEqual([
      ['0.0.0.0', 'tun0'],
      ['192.168.1.1', 'eth0']
    ])
  })

  it('findNetwork returns at most four distinct routes of a family, however many router advertisements were forged', async () => {
    const forged = Array.from(
      { length: 4000 },
      (_, index): Route => ({
        family: 6,
        gateway: `fe80::bad:${(index + 1).toString(16)}`,
        interface: 'eth0',
        metric: 1024
      })
    )
    const real: Route = { family: 6, gateway: 'fe80::1', interface: 'eth0', metric: 512 }
    const { gateways } = await find([...forged, ...Array.from({ length: 9 }, () => eth0), real], '192.168.1.2')
    expect(gateways.map(({ address }) => address)).toEqual([
      '192.168.1.1',
      'fe80::1%eth0',
      'fe80::bad:1%eth0',
      'fe80::bad:2%eth0',
      'fe80::bad:3%eth0'
    ])
  })

  it('findNetwork finds the route of policy routing behind any number of forged ones', async () => {
    const forged = Array.from({ length: 100 }, (_, index): Route => ({ ...eth0, gateway: `192.168.1.${index + 3}` }))
    const { gateways } = await find([...forged, { ...eth0, gateway: '10.8.0.1', interface: 'tun0' }], '10.8.0.2')
    expect(gateways.map(({ interface: link }) => link)).toEqual(['tun0', 'eth0', 'eth0', 'eth0'])
    expect(gateways[0]?.address).toBe('10.8.0.1')
  })

  it('findNetwork omits a route on an interface without an address', async () => {
    expect((await find([{ ...eth0, interface: 'eth9' }])).gateways).toEqual([])
  })
})

it('chooseGateways returns at most four gateways of a family for any network', async () => {
  const gateways = Array.from({ length: 100 }, (_, index) => ({
    address: `fe80::${(index + 1).toString(16)}%eth0`,
    interface: 'eth0',
    localAddress: '2a00::5'
  }))
  const call = { signal: new AbortController().signal }
  expect(await chooseGateways({ gateways, addresses: [] }, undefined, 6, call)).toEqual(gateways.slice(0, 4))
  expect(await chooseGateways({ gateways, addresses: [] }, 'fe80::50', 6, call)).toEqual([gateways[0x4f]])
})

describe('a runtime that does not permit access to the network configuration', () => {
  const root = join(import.meta.dirname, '..', '..', '..', '..')
  const looks = `import { findNetwork } from ${JSON.stringify(join(root, 'packages', 'net', 'dist', 'index.js'))}
    findNetwork(new AbortController()).then(() => console.log('looked'), ({ code, message }) => console.log(code, message))`

  // On Linux routes are files. Elsewhere they come from a program, which Node.js also forbids to start.
  it.skipIf(process.platform !== 'linux')('findNetwork rejects with NOT_PERMITTED on Node.js with --permission', () => {
    const flags = ['--permission', `--allow-fs-read=${root}`, '--input-type=module']
    const { stdout } = spawnSync(process.execPath, [...flags, '--eval', looks], { encoding: 'utf8' })
    expect(stdout).toMatch(/^NOT_PERMITTED .*--allow-fs-read/)
  })

  it('findNetwork rejects with NOT_PERMITTED on Deno without a permission', async () => {
    const refusal = 'Requires sys access to "networkInterfaces", run again with the --allow-sys flag'
    const interfaces = (): never => {
      throw Object.assign(new Error(refusal), { name: 'NotCapable' })
    }
    const looking = findNetwork(new AbortController(), { findRoutes: async () => [], interfaces })
    await expect(looking).rejects.toMatchObject({ code: 'NOT_PERMITTED', message: expect.stringContaining(refusal) })
  })
})

it.each([
  [{}, String.raw`C:\Windows\System32\rundll32.exe`],
  [{ SystemRoot: String.raw`D:\WinNT` }, String.raw`D:\WinNT\System32\rundll32.exe`],
  [{ SystemRoot: '.' }, String.raw`C:\Windows\System32\rundll32.exe`]
])('a program of Windows is started by its whole path: %j', (env, path) => {
  expect(windowsProgram('rundll32.exe', env)).toBe(path)
})
