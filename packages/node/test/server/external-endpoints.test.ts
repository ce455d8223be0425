import { createSocket } from 'node:dgram'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer } from 'node:net'
import { createTraversal, type Report } from '@postern/core'
import { expect, it, onTestFinished } from 'vitest'
import { announceable, externalEndpoints } from '../../src/server/external-endpoints.js'

it.each([
  ['http', createHttpServer(), 'http://203.0.113.7:8080', 'http://[2001:db8::2]:443'],
  ['https', createHttpsServer(), 'https://203.0.113.7:8080', 'https://[2001:db8::2]:443'],
  ['net', createServer(), undefined, undefined]
])('externalEndpoints returns hosts, ports and URLs of a server of node:%s', (_, server, ...urls) => {
  const found = externalEndpoints(['/ip4/203.0.113.7/tcp/8080', '/ip6/2001:db8::2/tcp/443'], server)
  expect(found).toMatchObject([
    { protocol: 'tcp', host: '203.0.113.7', port: 8080 },
    { protocol: 'tcp', host: '2001:db8::2', port: 443 }
  ])
  expect(found.map(({ url }) => url)).toEqual(urls)
})

it('externalEndpoints returns no URL for a socket', () => {
  const socket = createSocket('udp4')
  onTestFinished(() => void socket.close())
  expect(externalEndpoints(['/ip4/203.0.113.7/udp/8080'], socket)).toEqual([
    { protocol: 'udp', host: '203.0.113.7', port: 8080 }
  ])
})

it('announceable has the addresses that are consistent or verified, whatever the verdict', () => {
  const report = createTraversal({ strategies: [] }).report()
  const [doubted, sound, proven] = ['/ip4/10.0.0.2/tcp/80', '/ip4/203.0.113.7/tcp/80', '/ip4/203.0.113.7/tcp/81']
  const candidateOf = (
    address: string,
    state: 'claimed' | 'consistent' | 'verified' | 'refuted'
  ): Report['candidates'][number] => ({
    address,
    type: 'mapped',
    strategy: 'pcp',
    endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 80 },
    state,
    expiresAt: null,
    evidence: []
  })
  const candidates = [
    candidateOf(doubted, 'claimed'),
    candidateOf(sound, 'consistent'),
    candidateOf(proven, 'verified')
  ]
  const given = { ...report, externalAddresses: [doubted, sound, proven], candidates }
  for (const verdict of ['public', 'relayed', 'unknown', 'private'] as const)
    expect(announceable({ ...given, verdict })).toEqual([sound, proven])
})
