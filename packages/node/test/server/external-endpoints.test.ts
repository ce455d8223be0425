import { createSocket } from 'node:dgram'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer } from 'node:net'
import { createTraversal, type Report } from '@postern/core'
import { expect, it, onTestFinished } from 'vitest'
import { announceable, externalEndpoints } from '../../src/server/external-endpoints.js'

type Candidate = Report['candidates'][number]

const nothing = createTraversal({ strategies: [] }).report()

const candidateOf = (address: string, state: Candidate['state'], rest: Partial<Candidate> = {}): Candidate => ({
  address,
  type: 'mapped',
  strategy: 'pcp',
  endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 80 },
  state,
  expiresAt: null,
  evidence: [],
  ...rest
})

const reportOf = (...candidates: readonly Candidate[]): Report => ({
  ...nothing,
  externalAddresses: candidates.map(({ address }) => address),
  candidates
})

it.each([
  ['http', createHttpServer(), 'http://203.0.113.7:8080', 'http://[2001:db8::2]:443'],
  ['https', createHttpsServer(), 'https://203.0.113.7:8080', 'https://[2001:db8::2]:443'],
  ['net', createServer(), undefined, undefined]
])('externalEndpoints returns hosts, ports and URLs of a server of node:%s', (_, server, ...urls) => {
  const found = externalEndpoints(
    reportOf(
      candidateOf('/ip4/203.0.113.7/tcp/8080', 'consistent'),
      candidateOf('/ip6/2001:db8::2/tcp/443', 'verified')
    ),
    server
  )
  expect(found).toMatchObject([
    { protocol: 'tcp', host: '203.0.113.7', port: 8080 },
    { protocol: 'tcp', host: '2001:db8::2', port: 443 }
  ])
  expect(found.map(({ url }) => url)).toEqual(urls)
})

it('externalEndpoints returns no URL for a socket', () => {
  const socket = createSocket('udp4')
  onTestFinished(() => void socket.close())
  expect(externalEndpoints(reportOf(candidateOf('/ip4/203.0.113.7/udp/8080', 'consistent')), socket)).toEqual([
    { protocol: 'udp', host: '203.0.113.7', port: 8080 }
  ])
})

it('externalEndpoints names the other host that lends an address', () => {
  const relay = { party: 'vps.example.org:22', network: '203.0.0.0/16', isEncrypted: true, tellsClients: true }
  const lent = candidateOf('/ip4/203.0.113.9/tcp/80', 'consistent', { type: 'relayed', relay })
  const own = candidateOf('/ip4/203.0.113.7/tcp/80', 'consistent')
  expect(externalEndpoints(reportOf(lent, own), createServer()).map(({ through }) => through)).toEqual([
    'vps.example.org:22',
    undefined
  ])
})

it('announceable has the addresses that are consistent or verified, whatever the verdict', () => {
  const [doubted, sound, proven] = ['/ip4/10.0.0.2/tcp/80', '/ip4/203.0.113.7/tcp/80', '/ip4/203.0.113.7/tcp/81']
  const given = reportOf(
    candidateOf(doubted, 'claimed'),
    candidateOf(sound, 'consistent'),
    candidateOf(proven, 'verified')
  )
  for (const verdict of ['public', 'relayed', 'unknown', 'private'] as const)
    expect(announceable({ ...given, verdict })).toEqual([sound, proven])
})
