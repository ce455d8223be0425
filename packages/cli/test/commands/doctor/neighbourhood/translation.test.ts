import type { Report } from '@postern/core'
import type { Network } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import {
  findPrefix,
  translationAdvice,
  translationLines,
  translationOf
} from '../../../../src/commands/doctor/neighbourhood/translation.js'
import { reportWith } from '../../../support/report.js'

const call = { signal: new AbortController().signal }
const pair = ['64:ff9b::c000:aa', '64:ff9b::c000:ab']
const prefix = '64:ff9b::/96'
const behind = (...gateways: readonly string[]): Network => ({
  gateways: gateways.map((address) => ({ address, interface: 'eth0', localAddress: '192.168.1.2' })),
  addresses: []
})
const holding = (
  name: string,
  address: string
): Record<string, { address: string; cidr: null; internal: boolean }[]> => ({
  lo: [{ address: '127.0.0.1', cidr: null, internal: true }],
  [name]: [{ address, cidr: null, internal: false }]
})
const plain = holding('eth0', '192.168.1.2')
const mapped = (address: string): Report['candidates'][number] => ({
  address,
  type: 'mapped',
  strategy: 'pcp',
  endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 4001 },
  state: 'claimed',
  expiresAt: null,
  evidence: []
})
const refusing = (code: string, message: string): Report => {
  const line = { name: 'pcp', kind: 'mapper', rank: 0, state: 'failed', tookMs: 1 } as const
  return reportWith({ strategies: [{ ...line, reason: { code, message } }] })
}
const reserved = (address: string): Report =>
  refusing('EXTERNAL_ADDRESS_RESERVED', `the router's external address is ${address}, so it does not map ports`)

describe('the question for the prefix', () => {
  const asked: string[] = []
  const resolve6 = async (name: string): Promise<readonly string[]> => {
    asked.push(name)
    return pair
  }

  it('a machine with IPv6 asks for ipv4only.arpa', async () => {
    expect(await findPrefix({ gateways: [], addresses: ['2a00:1::2'] }, resolve6, call)).toBe(prefix)
    expect(await findPrefix({ gateways: [], addresses: ['fd00::2'] }, resolve6, call)).toBe(prefix)
    expect(asked.splice(0)).toEqual(['ipv4only.arpa', 'ipv4only.arpa'])
  })

  it('a machine without IPv6 beyond the link asks nothing', async () => {
    const addresses = ['192.168.1.2', 'fe80::2']
    expect(await findPrefix({ gateways: [], addresses }, resolve6, call)).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('a DNS server that does not know the name, or does not answer, shows no prefix', async () => {
    const failing = (): Promise<never> => Promise.reject(new Error('queryAaaa ENODATA ipv4only.arpa'))
    expect(await findPrefix({ gateways: [], addresses: ['2a00:1::2'] }, failing, call)).toBeUndefined()
  })
})

describe('translated IPv4', () => {
  const network = behind('192.168.1.1')
  const report = reportWith()

  it.each<[string, Parameters<typeof translationOf>[0], ReturnType<typeof translationOf>]>([
    ['nothing shows it', { prefix: undefined, interfaces: plain, network, report }, null],
    ['a prefix', { prefix, interfaces: plain, network, report }, { kind: 'nat64', prefix }],
    [
      'an interface of a CLAT',
      { prefix: undefined, interfaces: holding('clat', '192.0.0.1'), network, report },
      { kind: '464xlat', prefix: null }
    ],
    [
      'the CLAT of a telephone, with a prefix',
      { prefix, interfaces: holding('v4-wlan0', '192.0.0.4'), network, report },
      { kind: '464xlat', prefix }
    ],
    [
      'an address of a CLAT at the interface of the LAN, with a prefix',
      { prefix, interfaces: holding('en0', '192.0.0.2'), network, report },
      { kind: '464xlat', prefix }
    ],
    [
      'the tunnel of DS-Lite on this machine',
      { prefix: undefined, interfaces: holding('ip6tnl1', '192.0.0.2'), network, report },
      { kind: 'ds-lite', prefix: null }
    ],
    [
      'a route to the end of the tunnel',
      { prefix: undefined, interfaces: plain, network: behind('192.0.0.1'), report },
      { kind: 'ds-lite', prefix: null }
    ],
    [
      'the router refuses with the address of the tunnel',
      { prefix: undefined, interfaces: plain, network, report: reserved('192.0.0.2') },
      { kind: 'ds-lite', prefix: null }
    ],
    [
      'the router grants the address of the tunnel',
      {
        prefix: undefined,
        interfaces: plain,
        network,
        report: reportWith({ candidates: [mapped('/ip4/192.0.0.2/tcp/4001')] })
      },
      { kind: 'ds-lite', prefix: null }
    ],
    [
      'the router has a CLAT',
      { prefix, interfaces: plain, network, report: reserved('192.0.0.2') },
      { kind: '464xlat', prefix }
    ],
    [
      'another reserved address',
      { prefix: undefined, interfaces: plain, network, report: reserved('192.0.0.8') },
      null
    ],
    [
      'an address in the reason of another failure',
      { prefix: undefined, interfaces: plain, network, report: refusing('GATEWAY_FAULT', 'error 192.0.0.2') },
      null
    ],
    [
      'a similar private address',
      { prefix: undefined, interfaces: holding('clat', '192.0.2.1'), network, report },
      null
    ]
  ])('%s', (_, signs, expected) => expect(translationOf(signs)).toEqual(expected))

  it('the line names the prefix, and where it comes from', () => {
    expect(translationLines({ kind: 'nat64', prefix })).toEqual([
      'IPv4: translated (NAT64 with the prefix 64:ff9b::/96, as the DNS server of this machine says)'
    ])
    expect(translationLines({ kind: 'ds-lite', prefix: null })).toEqual(['IPv4: translated (DS-Lite)'])
    expect(translationLines(null)).toEqual([])
  })

  it('the advice does not promise an IPv4 port', () => {
    const [advice] = translationAdvice({ kind: 'ds-lite', prefix: null }, network, report)
    expect(advice).toMatch(/^Use IPv6, a relay .*DS-Lite.* no IPv4 port can be mapped\.$/)
    const six = reportWith({ candidates: [mapped('/ip6/2a00:1::2/tcp/4001')] })
    expect(translationAdvice({ kind: 'nat64', prefix }, behind('fe80::1'), six)).toEqual([
      expect.stringMatching(/^For clients without IPv6, add a relay/)
    ])
  })

  it('a NAT64 beside an IPv4 route, and a mapping at a global IPv4 address, need no advice', () => {
    expect(translationAdvice({ kind: 'nat64', prefix }, network, report)).toEqual([])
    const four = reportWith({ candidates: [mapped('/ip4/11.0.0.2/tcp/4001')] })
    expect(translationAdvice({ kind: 'nat64', prefix }, behind('fe80::1'), four)).toEqual([])
  })

  it('the address of the translator, which a STUN server sees, is no mapping', () => {
    const seen = reportWith({ candidates: [{ ...mapped('/ip4/11.0.0.2/udp/4001'), type: 'observed' }] })
    expect(translationAdvice({ kind: '464xlat', prefix }, network, seen)).toHaveLength(1)
  })
})
